//! `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// The delay that the header asks for: seconds, or a date, which counts as zero where it is past. Anything else is no
/// delay.
pub(super) fn from_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if value.bytes().all(|b| b.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn delay(value: &'static str) -> Option<Duration> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        from_headers(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]), now)
    }

    #[test]
    fn seconds_and_dates_are_delays() {
        assert_eq!(delay("60"), Some(Duration::from_secs(60)));
        assert_eq!(delay("0"), Some(Duration::ZERO));
        assert_eq!(delay("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(delay("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_no_delay() {
        for value in ["", "soon", "-1", "1.5", "99999999999999999999999", "Sun, 99 Nov 1994 08:49:47 GMT"] {
            assert_eq!(delay(value), None, "{value}");
        }
        assert_eq!(from_headers(&HeaderMap::new(), SystemTime::now()), None);
    }
}
