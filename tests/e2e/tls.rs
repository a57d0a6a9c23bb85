//! The API by TLS: versions, files that are renewed while the agent serves, and client certificates.

use std::{fs, net::SocketAddr, path::Path};

use nix::sys::signal::Signal;
use rustls::{
    ProtocolVersion,
    pki_types::CertificateDer,
    version::{TLS12, TLS13},
};

use crate::harness::{
    Agent, Authority, Environment, PASSWORD, Pair, Place, TlsClient, USER, basic, complete_environment, run_agent,
    wait_until,
};

/// An agent whose certificate is of this CA, and that pair.
fn secured(authority: &Authority, configure: impl FnOnce(&mut Environment)) -> (Agent, Pair) {
    let place = Place::new();
    let pair = authority.pair();
    pair.write(&place);
    let [certificate, key] = Pair::paths(&place);
    let agent = Agent::start_in(place, |env| {
        env.set("tls_certificate", certificate).set("tls_private_key", key);
        configure(env);
    });
    (agent, pair)
}

/// The certificate that a new connection is shown.
fn shown(client: &TlsClient, address: SocketAddr) -> CertificateDer<'static> {
    client.connect(address).expect("the agent serves TLS").certificate()
}

#[test]
fn a_usual_client_that_knows_the_ca_is_served_by_https() {
    let authority = Authority::new();
    let (agent, _) = secured(&authority, |_| {});
    assert!(agent.log().contains("listening on https://"), "{}", agent.log());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = |pem: &str| {
        let ca = reqwest::Certificate::from_pem(pem.as_bytes()).expect("a CA");
        let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy();
        builder.build().expect("a client")
    };
    let url = format!("https://{}/status", agent.address());
    let get = |pem: &str| client(pem).get(&url).basic_auth(USER, Some(PASSWORD)).send();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let answer = runtime.block_on(get(&authority.pem())).expect("an answer");
    assert_eq!(answer.status(), 200);
    // Another CA's word is worth nothing.
    assert!(runtime.block_on(get(&Authority::new().pem())).is_err());
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_in_clear() {
    let authority = Authority::new();
    let (agent, pair) = secured(&authority, |_| {});
    for (versions, version) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (&[&TLS13, &TLS12], ProtocolVersion::TLSv1_3),
    ] {
        let client = authority.client().with_versions(versions);
        let mut connection = client.connect(agent.address()).expect("the agent serves TLS");
        assert_eq!((connection.version(), connection.certificate()), (version, pair.der()));
        assert_eq!(connection.status(&agent.authorization()).ok(), Some(200), "{version:?}");
        assert_eq!(connection.status("X: y").ok(), Some(401), "{version:?}");
    }
    let in_clear = agent.try_call("GET", "/status", b"");
    assert!(in_clear.is_none(), "{in_clear:?}");
    assert_eq!(
        authority.client().status(agent.address(), &agent.authorization()).ok(),
        Some(200)
    );
}

#[test]
fn a_renewed_pair_is_used_on_sighup_or_by_itself_and_running_connections_go_on() {
    let authority = Authority::new();
    let client = authority.client();
    for by in ["SIGHUP", "change", "swapped links"] {
        let (agent, old) = secured(&authority, |_| {});
        let mut running = client.connect(agent.address()).expect("the agent serves TLS");
        assert_eq!(running.status(&agent.authorization()).ok(), Some(200), "{by}");
        let new = authority.pair();
        match by {
            "swapped links" => swap(&agent.place, &new),
            _ => new.write(&agent.place),
        }
        if by == "SIGHUP" {
            agent.signal(Signal::SIGHUP);
        }
        wait_until(&format!("the new certificate is shown ({by})"), || {
            let certificate = shown(&client, agent.address());
            assert!([old.der(), new.der()].contains(&certificate), "{by}");
            certificate == new.der()
        });
        assert_eq!(running.status(&agent.authorization()).ok(), Some(200), "{by}");
        assert_eq!(running.certificate(), old.der(), "{by}: it is the same connection");
        agent.wait_for_log("files of TLS were read again");
        assert!(!agent.log().contains("ERROR"), "{}", agent.log());
    }
}

/// Replaces the files by links to new ones, as certbot and Kubernetes do.
fn swap(place: &Place, pair: &Pair) {
    let [certificate, key] = Pair::paths(place);
    for (path, name, text) in [
        (certificate, "live.crt", &pair.certificate),
        (key, "live.key", &pair.key),
    ] {
        let target = place.write(name, text);
        let link = place.path("link");
        std::os::unix::fs::symlink(target, &link).expect("a link can be made");
        fs::rename(&link, path).expect("the place is ours");
    }
}

#[test]
fn a_bad_new_pair_is_refused_with_a_log_line_and_the_old_one_stays() {
    let authority = Authority::new();
    let client = authority.client();
    for (row, by_signal) in [
        ("no key", true),
        ("other key", true),
        ("other key", false),
        ("no certificate", false),
    ] {
        let (agent, old) = secured(&authority, |_| {});
        let mut running = client.connect(agent.address()).expect("the agent serves TLS");
        let [certificate, key] = Pair::paths(&agent.place);
        match row {
            "no key" => fs::remove_file(key).expect("it is there"),
            "other key" => fs::write(key, authority.pair().key).expect("it is ours"),
            _ => fs::write(certificate, "nonsense").expect("it is ours"),
        }
        if by_signal {
            agent.signal(Signal::SIGHUP);
        }
        wait_until(&format!("the pair is refused ({row})"), || {
            agent.log().lines().any(|line| {
                line.contains("ERROR") && line.contains("files of TLS were refused") && line.contains("tls_")
            })
        });
        assert_eq!(shown(&client, agent.address()), old.der(), "{row}");
        assert_eq!(running.status(&agent.authorization()).ok(), Some(200), "{row}");
        // Once it is good again it is used.
        let new = authority.pair();
        new.write(&agent.place);
        agent.signal(Signal::SIGHUP);
        wait_until(&format!("the good pair is used ({row})"), || {
            shown(&client, agent.address()) == new.der()
        });
    }
}

#[test]
fn with_a_client_ca_both_its_certificate_and_the_password_are_needed() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let place = Place::new();
    authority.pair().write(&place);
    let [certificate, key] = Pair::paths(&place);
    let ca = place.write("clients.crt", clients.pem());
    let agent = Agent::start_in(place, |env| {
        env.set("tls_certificate", certificate)
            .set("tls_private_key", key)
            .set("tls_client_ca", &ca);
    });
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let stranger = authority.client().with_versions(versions);
        let friend = stranger.clone().with(clients.pair());
        let wrong = stranger.clone().with(authority.pair());
        let status = |client: &TlsClient, line: &str| client.status(agent.address(), line).ok();
        assert_eq!(status(&friend, &agent.authorization()), Some(200), "{versions:?}");
        assert_eq!(status(&friend, "X: y"), Some(401), "the password is needed too");
        assert_eq!(status(&stranger, &agent.authorization()), None, "no certificate");
        assert_eq!(
            status(&wrong, &agent.authorization()),
            None,
            "a certificate of another CA"
        );
    }
    // The CA is renewed like the pair.
    let others = Authority::new();
    fs::write(&ca, others.pem()).expect("it is ours");
    agent.signal(Signal::SIGHUP);
    let line = agent.authorization();
    wait_until("the new CA's clients are let in", || {
        let client = authority.client().with(others.pair());
        client.status(agent.address(), &line).is_ok_and(|status| status == 200)
    });
    let client = authority.client().with(clients.pair());
    assert!(client.status(agent.address(), &line).is_err(), "the old CA's are not");
}

#[test]
fn all_faults_of_the_files_are_told_at_once() {
    type Setting<'a> = (&'a str, &'a Path);

    let place = Place::without_scripts();
    let (one, other) = (Authority::new().pair(), Authority::new().pair());
    let [certificate, key] = Pair::paths(&place);
    place.write("tls.crt", &one.certificate);
    place.write("tls.key", &other.key);
    let empty = place.write("empty", "");
    let none = place.path("none");
    let rows: [(&[Setting<'_>], &[&str]); 4] = [
        (
            &[
                ("tls_certificate", &none),
                ("tls_private_key", &empty),
                ("tls_client_ca", &empty),
                ("client_password_file", &none),
                ("s3_ca_certificate", &empty),
            ],
            &[
                "client_password_file /",
                "tls_certificate /",
                "tls_private_key /",
                "tls_client_ca /",
                "s3_ca_certificate /",
            ],
        ),
        (
            &[
                ("tls_certificate", &certificate),
                ("tls_private_key", &key),
                ("client_password_file", &empty),
            ],
            &["client_password_file /", "tls_certificate /"],
        ),
        (
            &[("tls_certificate", &certificate)],
            &["client_password is required", "tls_private_key is required"],
        ),
        (
            &[("tls_client_ca", &certificate), ("client_password_file", &key)],
            &["tls_client_ca is only for TLS"],
        ),
    ];
    for (settings, starts) in rows {
        let mut environment = complete_environment(&place);
        environment.unset("client_password");
        for (name, value) in settings {
            environment.set(name, value);
        }
        for arguments in [&[][..], &["check-config"]] {
            let output = run_agent(arguments, &environment, place.root());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{said}");
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!(lines.len(), starts.len(), "{said}");
            for (line, start) in lines.iter().zip(starts) {
                assert!(line.starts_with(start), "{start}: {said}");
            }
        }
    }
}

#[test]
fn only_who_listens_for_others_in_clear_is_warned_once() {
    let authority = Authority::new();
    let warnings = |agent: &Agent| agent.log().matches("without TLS").count();
    for (address, expected) in [("127.0.0.1", 0), ("0.0.0.0", 1)] {
        let plain = Agent::start(|env| {
            env.set("client_address", address);
        });
        assert_eq!(warnings(&plain), expected, "{address}: {}", plain.log());
        let is_warning = |line: &str| !line.contains("without TLS") || line.contains("WARN");
        assert!(plain.log().lines().all(is_warning), "{}", plain.log());
        assert!(plain.log().contains("listening on http://"), "{}", plain.log());
        let (agent, _) = secured(&authority, |env| {
            env.set("client_address", address);
        });
        assert_eq!(warnings(&agent), 0, "{address}: {}", agent.log());
    }
}

#[test]
fn the_password_file_is_read_again_on_sighup_and_a_bad_one_changes_nothing() {
    let place = Place::new();
    let file = place.write("password", "first one\n");
    let agent = Agent::start_in(place, |env| {
        env.unset("client_password").set("client_password_file", &file);
    });
    let status = |password: &str| {
        let line = format!("Authorization: {}", basic(USER, password));
        agent.call_as_stranger("GET", "/status", &[&line], b"").status
    };
    let is_told = |what: &str, count: usize| {
        agent.signal(Signal::SIGHUP);
        wait_until(what, || agent.log().matches(what).count() == count);
    };
    assert_eq!([status("first one"), status("first one\n")], [200, 401]);
    fs::write(&file, "second").expect("it is ours");
    assert_eq!(
        [status("first one"), status("second")],
        [200, 401],
        "nobody has asked yet"
    );
    is_told("the password was read again", 1);
    assert_eq!([status("first one"), status("second")], [401, 200]);
    fs::write(&file, "\n").expect("it is ours");
    is_told("the password was not read again, and stays the old one", 1);
    fs::remove_file(&file).expect("it is ours");
    is_told("the password was not read again, and stays the old one", 2);
    assert_eq!(status("second"), 200);
    assert!(!agent.log().contains("second"), "{}", agent.log());
}

#[test]
fn a_sighup_harms_no_agent_that_has_nothing_to_read() {
    let agent = Agent::start(|_| {});
    agent.signal(Signal::SIGHUP);
    agent.wait_for_log("nothing is read again");
    assert_eq!(agent.get("/status").status, 200);
}
