//! Lists of address ranges, and the header with a client's address.

use hoox_auth::{Range, parse_client_ip};

/// First line: a client's address; the others: ranges.
pub(crate) fn run(data: &[u8]) {
    let mut rest = data;
    let address = parse_client_ip(Some(crate::line(&mut rest).as_ref()));
    if let Some(address) = address {
        // What is compared is canonical: an IPv4 address has one form only.
        assert_eq!(address, address.to_canonical());
        assert_eq!(
            parse_client_ip(Some(address.to_string().as_str())),
            Some(address)
        );
    }
    while !rest.is_empty() {
        let Ok(range) = crate::line(&mut rest).parse::<Range>() else {
            continue;
        };
        let again: Range = range.to_string().parse().unwrap();
        assert_eq!(again.to_string(), range.to_string());
        if let Some(address) = address {
            assert_eq!(again.contains(address), range.contains(address));
        }
    }
}
