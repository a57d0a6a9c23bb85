use super::*;

fn allowed(text: &str) -> AllowedEndpoints {
    AllowedEndpoints::parse(text).expect(text)
}

fn judged(patterns: &str, host: &str, port: u16) -> bool {
    allowed(patterns).judge(host, port, Resolution::Own).is_ok()
}

#[test]
fn a_host_is_allowed_by_its_name_its_ending_its_address_or_its_network() {
    for (patterns, host, port, is_allowed) in [
        ("", "anything.example.org", 1, true),
        ("*", "anything.example.org", 1, true),
        (" s3.example.org , other", "s3.example.org", 443, true),
        ("s3.example.org", "S3.Example.ORG.", 443, true),
        ("S3.Example.ORG.", "s3.example.org", 443, true),
        ("s3.example.org", "s3.example.org.evil.org", 443, false),
        ("s3.example.org", "evil-s3.example.org", 443, false),
        ("s3.example.org", "b.s3.example.org", 443, false),
        ("*.example.org", "s3.example.org", 443, true),
        ("*.example.org", "b.s3.example.org", 443, true),
        ("*.example.org", "example.org", 443, false),
        ("*.example.org", ".example.org", 443, false),
        ("*.example.org", "evilexample.org", 443, false),
        ("s3.example.org:443", "s3.example.org", 443, true),
        ("s3.example.org:443", "s3.example.org", 22, false),
        ("*.example.org:9000", "s3.example.org", 443, false),
        ("10.1.2.3", "10.1.2.3", 9000, true),
        ("10.1.2.3", "10.1.2.4", 9000, false),
        ("10.1.2.3:9000", "10.1.2.3", 9001, false),
        ("10.1.0.0/16", "10.1.255.255", 9000, true),
        ("10.1.9.9/16", "10.1.0.1", 9000, true),
        ("10.1.0.0/16", "10.2.0.0", 9000, false),
        ("10.1.0.0/16:9000", "10.1.0.1", 9000, true),
        ("10.1.0.0/16:9000", "10.1.0.1", 22, false),
        ("fd12::1", "[fd12::1]", 443, true),
        ("[fd12::1]:443", "[fd12::1]", 443, true),
        ("[fd12::1]:443", "[fd12::1]", 22, false),
        ("fd12::/16", "[fd12:1::1]", 443, true),
        ("[fd12::/16]:443", "[fd12:1::1]", 443, true),
        ("::ffff:10.1.2.3", "10.1.2.3", 443, true),
        ("10.1.2.3", "[::ffff:10.1.2.3]", 443, true),
        ("localhost", "127.0.0.1", 443, false),
        ("127.0.0.1", "localhost", 443, true),
        // AWS has buckets below.
        (
            "s3.eu-central-1.amazonaws.com",
            "b.s3.eu-central-1.amazonaws.com",
            443,
            true,
        ),
        (
            "s3.eu-central-1.amazonaws.com",
            "s3.eu-west-1.amazonaws.com",
            443,
            false,
        ),
        ("amazonaws.com", "b.amazonaws.com", 443, false),
    ] {
        assert_eq!(judged(patterns, host, port), is_allowed, "{patterns:?} {host}:{port}");
    }
}

/// A name that only its address can show to be listed.
#[test]
fn a_name_may_be_listed_by_its_address_but_not_where_a_proxy_looks_it_up() {
    let list = allowed("10.1.0.0/16:443");
    assert!(list.judge("store.example.org", 443, Resolution::Own).is_ok());
    assert!(list.judge("store.example.org", 22, Resolution::Own).is_err());
    assert!(list.judge("store.example.org", 443, Resolution::ByProxy).is_err());
    for (address, is_allowed) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("10.2.2.3", false)] {
        let address = address.parse().expect("an address");
        let judged = list.judge_address("store.example.org", 443, address);
        assert_eq!(judged.is_ok(), is_allowed, "{address}");
    }
    let named = allowed("store.example.org");
    let address = "10.9.9.9".parse().expect("an address");
    assert!(named.judge_address("store.example.org", 443, address).is_ok());
    assert!(named.judge_address("other.example.org", 443, address).is_err());
}

#[test]
fn links_and_metadata_services_are_refused_however_they_are_written() {
    for host in [
        "169.254.169.254",
        "169.254.0.1",
        "169.254.170.2",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0XA9.0xfe.0xa9.0xFE",
        "0xa9.254.43518",
        "169.16689662",
        "0251.0376.0251.0376",
        "0251.254.0xa9.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "[fe80::1]",
        "[febf::1]",
        "[fd00:ec2::254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "[fd00:c1::a9fe:a9fe]",
        "[fd00:42::42]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::169.254.169.254]",
        "[2002:a9fe:a9fe::1]",
    ] {
        // None of these lists it by itself.
        for patterns in ["", "*", "0.0.0.0/0,::/0", "10.0.0.0/8", "128.0.0.0/1, fc00::/6"] {
            let refusal = allowed(patterns).judge(host, 80, Resolution::Own);
            assert!(
                matches!(refusal, Err(Refusal::Reserved(_))),
                "{patterns:?} {host}: {refusal:?}"
            );
        }
    }
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0x7f.1",
        "169.253.255.255",
        "169.255.0.0",
        "100.100.100.201",
        "[fec0::1]",
        "[fd00:ec3::254]",
        "[64:ff9b::a01:203]",
        "169.254.169.254.example.org",
        "4294967296",
    ] {
        assert!(judged("", host, 80), "{host}");
    }
}

#[test]
fn a_reserved_address_is_allowed_where_it_is_listed_by_itself() {
    for (patterns, host, is_allowed) in [
        ("169.254.10.1", "169.254.10.1", true),
        ("169.254.10.1", "169.254.169.254", false),
        ("169.254.10.0/24", "169.254.10.9", true),
        ("169.254.0.0/16", "0xa9fea9fe", true),
        ("169.254.0.0/15", "169.254.10.9", false),
        ("169.254.10.1:9000", "169.254.10.1", false),
        ("169.254.169.254", "[::ffff:169.254.169.254]", true),
        ("169.254.169.254", "[64:ff9b::a9fe:a9fe]", false),
        ("64:ff9b::a9fe:a9fe", "[64:ff9b::a9fe:a9fe]", true),
        ("fe80::/64", "[fe80::1]", true),
        ("*,169.254.10.1", "169.254.10.1", true),
    ] {
        assert_eq!(judged(patterns, host, 80), is_allowed, "{patterns:?} {host}");
    }
}

#[test]
fn a_name_that_is_listed_lets_nobody_to_a_reserved_address() {
    let address = "169.254.169.254".parse().expect("an address");
    for (patterns, is_allowed) in [
        ("", false),
        ("store.example.org", false),
        ("store.example.org,169.254.169.254", true),
    ] {
        let judged = allowed(patterns).judge_address("store.example.org", 80, address);
        assert_eq!(judged.is_ok(), is_allowed, "{patterns:?}: {judged:?}");
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for text in [
        "https://s3.example.org",
        "s3.example.org/bucket",
        "s3.*.org",
        "*example.org",
        "a b",
        "a..b",
        "user@host",
        "host:99999",
        "host:",
        "10.1.0.0/33",
        "0x7f.1",
        "2852039166",
        "[fd12::1",
        "[s3.example.org]:x",
        "bücher.example.org",
    ] {
        let problem = AllowedEndpoints::parse(text).expect_err(text);
        assert!(problem.contains(&format!("{text:?} is none")), "{text}: {problem}");
    }
    assert_eq!(AllowedEndpoints::parse(" , "), Ok(AllowedEndpoints::default()));
}
