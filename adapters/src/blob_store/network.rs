//! How stores are reached: whom TLS trusts, who looks names up, and where the way may lead.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use domain::request::{AllowedEndpoints, Refusal, Resolution};
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use super::trust::CaCertificates;

/// What proxies are read from.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// What all connections are made with.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) trust: CaCertificates,
    /// None: wherever the way leads.
    allowed: Option<Arc<AllowedEndpoints>>,
    names: Arc<dyn Resolve>,
}

impl Network {
    pub(super) fn new(trust: CaCertificates, allowed: AllowedEndpoints) -> Self {
        Self {
            trust,
            allowed: Some(Arc::new(allowed)),
            names: Arc::new(SystemNames),
        }
    }

    /// The same, for addresses that no request chooses: those of the agent's own credentials.
    pub(super) fn without_limits(&self) -> Self {
        Self {
            allowed: None,
            ..self.clone()
        }
    }

    /// The same, with names that another looks up.
    #[cfg(test)]
    pub(super) fn with_names(self, names: impl Resolve + 'static) -> Self {
        Self {
            names: Arc::new(names),
            ..self
        }
    }

    /// What guards the way to the host of this endpoint.
    pub(super) fn guard(&self, endpoint: &Url) -> Guard {
        Guard {
            network: self.clone(),
            port: port(endpoint),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new(CaCertificates::default(), AllowedEndpoints::default())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("trust", &self.trust)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

/// Lets connections through to what is allowed.
///
/// A client asks it for the addresses of every name, and connects to no others. An address that stands
/// in a URL is not looked up, so [`Guard::judge`] must see every URL.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    network: Network,
    /// Names are looked up without it.
    port: u16,
}

/// The way leads to where it may not.
#[derive(Debug, thiserror::Error)]
#[error("the way leads to {0}")]
pub(super) struct Forbidden(Refusal);

impl Guard {
    /// Judges a URL, as far as that can be done before names are looked up.
    pub(super) fn judge(&self, url: &Url, resolution: Resolution) -> Result<(), Forbidden> {
        let Some(allowed) = &self.network.allowed else {
            return Ok(());
        };
        let (host, port) = (url.host_str().unwrap_or_default(), port(url));
        if port != self.port {
            // Names are judged with the endpoint's port, and no request goes to another.
            return Err(Forbidden(Refusal::Unlisted(format!("{host}:{port}"))));
        }
        allowed.judge(host, port, resolution).map_err(Forbidden)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let found = self.network.names.resolve(name);
        let (allowed, port) = (self.network.allowed.clone(), self.port);
        Box::pin(async move {
            let found = found.await?;
            let Some(allowed) = allowed else {
                return Ok(found);
            };
            let mut good = Vec::new();
            let mut refusal = None;
            for address in found {
                match allowed.judge_address(&host, port, address.ip()) {
                    Ok(()) => good.push(address),
                    Err(why) => refusal = Some(why),
                }
            }
            match refusal {
                Some(refusal) if good.is_empty() => Err(Forbidden(refusal).into()),
                Some(_) | None => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether the environment names any proxies; which of them is meant is decided for each request.
pub(super) fn has_proxies() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    PROXIES.into_iter().any(is_set)
}

fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or_default()
}

/// The machine's own way to look names up.
struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<_> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
