//! Which hosts a request may have the agent speak to.
//!
//! A name is judged twice: before anything happens by itself, and once more with each address that it
//! turns out to have, so that nobody's name server has the last word. Addresses that lead to this
//! machine's link or to what clouds tell their machines are refused unless they are listed themselves.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Links, and the addresses at which clouds tell their machines secrets.
const RESERVED_V4: [Ipv4Net; 4] = [
    // Link-local, with the metadata services of nearly all clouds and the credentials of containers.
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    // Alibaba's metadata service, Azure's agent of its hosts, and that of older machines of Oracle.
    Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32),
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 192), 32),
];
const RESERVED_V6: [Ipv6Net; 5] = [
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    // AWS, Google, Oracle and Scaleway.
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
];

/// The hosts that an operator allows as destinations. None: all but the reserved ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedEndpoints(Vec<Pattern>);

/// Some hosts, at one port or at any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Any,
    Name(String),
    /// Names that end so; it begins with a dot.
    Below(String),
    Addresses(IpNet),
}

/// Who turns a host's name into an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The agent, which has each address judged.
    Own,
    /// A proxy, which the agent must take at its word: only the name can be judged.
    ByProxy,
}

/// Why a host is none to speak to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not in the list.
    #[error("{0}, which is not among the agent's allowed_endpoints; its operator sets them")]
    Unlisted(String),
    /// It is reserved, and not listed by itself.
    #[error(
        "{0}, which is an address of this machine's link or of a cloud's metadata service; it is refused unless the \
         agent's allowed_endpoints lists it by its address"
    )]
    Reserved(String),
}

impl AllowedEndpoints {
    /// Reads patterns with commas between them.
    ///
    /// # Errors
    ///
    /// With a fragment that says which pattern is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        patterns.map(Pattern::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Judges a host as it stands in a URL, before it is looked up.
    ///
    /// # Errors
    ///
    /// If it is plainly not allowed. A name may still turn out so, see [`Self::judge_address`].
    pub fn judge(&self, host: &str, port: u16, resolution: Resolution) -> Result<(), Refusal> {
        if let Some(address) = address_in(host) {
            return self.judge_address(host, port, address);
        }
        let at_port = || self.0.iter().filter(|pattern| pattern.is_at(port));
        let may_be_listed_by_address = || at_port().any(|pattern| matches!(pattern.hosts, Hosts::Addresses(_)));
        if self.lists_name(host, port) || (resolution == Resolution::Own && may_be_listed_by_address()) {
            Ok(())
        } else {
            Err(Refusal::Unlisted(format!("{host}:{port}")))
        }
    }

    /// Judges an address that is about to be connected to, for this host.
    ///
    /// # Errors
    ///
    /// If it is not allowed.
    pub fn judge_address(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let told = || match address_in(host) {
            Some(_) => format!("{host}:{port}"),
            None => format!("{host}:{port} at {address}"),
        };
        let mut networks = self
            .0
            .iter()
            .filter(|pattern| pattern.is_at(port))
            .filter_map(|pattern| match &pattern.hosts {
                Hosts::Addresses(network) if network.contains(&address) => Some(network),
                Hosts::Addresses(_) | Hosts::Any | Hosts::Name(_) | Hosts::Below(_) => None,
            });
        match reserved(address) {
            // A network that is meant to be all of the world does not mean these.
            Some(reserved) if networks.any(|network| reserved.contains(network)) => Ok(()),
            Some(_) => Err(Refusal::Reserved(told())),
            None if networks.next().is_some() || self.lists_name(host, port) => Ok(()),
            None => Err(Refusal::Unlisted(told())),
        }
    }

    fn lists_name(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let mut at_port = self.0.iter().filter(|pattern| pattern.is_at(port));
        self.0.is_empty() || at_port.any(|pattern| pattern.hosts.has_name(&host))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let problem = || {
            format!(
                "must be hosts with commas between them, like s3.example.org, *.example.org, 10.1.2.3, 10.1.0.0/16 or \
                 [fd12::]:443, without https://; {text:?} is none"
            )
        };
        let (host, port) = if network(text).is_some() {
            (text, None)
        } else {
            match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port.parse().map_err(|_| problem())?)),
                None => (text, None),
            }
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let hosts = match (network(host), name.strip_prefix('*')) {
            (Some(network), _) => Hosts::Addresses(network),
            (None, Some("")) => Hosts::Any,
            (None, Some(ending)) if ending.strip_prefix('.').is_some_and(is_name) => Hosts::Below(ending.to_owned()),
            (None, None) if is_name(&name) => Hosts::Name(name),
            (None, Some(_) | None) => return Err(problem()),
        };
        Ok(Self { hosts, port })
    }

    fn is_at(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl Hosts {
    /// Whether a name in lower case is one of these.
    fn has_name(&self, host: &str) -> bool {
        let is_below = |ending: &str| host.len() > ending.len() && host.ends_with(ending);
        match self {
            Self::Any => true,
            // AWS has each bucket below the endpoint of its region, and nothing else is there.
            Self::Name(name) => host == name || (is_aws_s3(name) && is_below(&format!(".{name}"))),
            Self::Below(ending) => is_below(ending),
            Self::Addresses(_) => false,
        }
    }
}

fn is_aws_s3(name: &str) -> bool {
    let is_aws = name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn");
    is_aws && (name.starts_with("s3.") || name.starts_with("s3-"))
}

/// Letters, digits and the like, and no number at the end, as that would be an address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_allowed)
    };
    text.split('.').all(is_label) && address_in(text).is_none()
}

/// One address, or all of a network.
fn network(text: &str) -> Option<IpNet> {
    let network: Option<IpNet> = text.parse().ok();
    network
        .map(|network| network.trunc())
        .or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?.to_canonical())))
}

/// The address that a URL's host is, however it is written.
fn address_in(host: &str) -> Option<IpAddr> {
    if let Some(host) = host.strip_prefix('[') {
        return host.strip_suffix(']')?.parse().ok();
    }
    host.parse().ok().or_else(|| numbers(host).map(IpAddr::V4))
}

/// An IPv4 address as URLs allow it: one to four numbers, decimal, octal or hexadecimal, of which the
/// last stands for all bytes that are left.
fn numbers(host: &str) -> Option<Ipv4Addr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let number = |text: &str| match (text.strip_prefix("0x").or(text.strip_prefix("0X")), text) {
        (Some(""), _) => Some(0),
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, text) if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        (None, text) => text.parse().ok(),
    };
    let numbers = host.split('.').map(number).collect::<Option<Vec<u64>>>()?;
    let (last, first) = numbers.split_last()?;
    if first.len() > 3 || first.iter().any(|byte| *byte > 255) || *last >= 1 << (8 * (4 - first.len())) {
        return None;
    }
    let first = first.iter().zip([24, 16, 8]).map(|(byte, shift)| byte << shift);
    u32::try_from(first.sum::<u64>() + last).ok().map(Ipv4Addr::from)
}

/// The reserved network that an address is in, be it in an address of the other family, to which
/// gateways translate it.
fn reserved(address: IpAddr) -> Option<IpNet> {
    match address {
        IpAddr::V4(address) => reserved_v4(address),
        IpAddr::V6(address) => RESERVED_V6
            .into_iter()
            .find(|network| network.contains(&address))
            .map(IpNet::V6)
            .or_else(|| {
                reserved_v4(embedded(address)?)?;
                // By itself, as the network of the other family says nothing of it.
                Some(IpNet::from(IpAddr::V6(address)))
            }),
    }
}

fn reserved_v4(address: Ipv4Addr) -> Option<IpNet> {
    let mut networks = RESERVED_V4.into_iter();
    networks.find(|network| network.contains(&address)).map(IpNet::V4)
}

/// The IPv4 address in one of NAT64, of 6to4, or of the kind that was the first to hold one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] | [0x64, 0xff9b, 0, 0, 0, 0] | [0x64, 0xff9b, 1, _, _, _] => of(g, h),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}
