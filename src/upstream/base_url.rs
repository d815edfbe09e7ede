//! The Manager's address, and the URLs below it.

use reqwest::Url;

use crate::{
    listener::is_loopback,
    project::{ProjectFault, ProjectName},
};

/// The Manager's URL with `/apiops/` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    leaves_host_in_the_clear: bool,
    name: Option<String>,
}

impl BaseUrl {
    /// Reads a Manager URL, with or without `/apiops` or `/apiops/` at its end; it may have a path before that.
    ///
    /// # Errors
    /// Where it is no http or https URL, or has a part that no base URL can have.
    pub fn parse(text: &str) -> Result<Self, BaseUrlFault> {
        let mut url = Url::parse(text).map_err(|_| BaseUrlFault::NoUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlFault::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlFault::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlFault::QueryOrFragment);
        }
        let path = url.path().trim_end_matches('/');
        let path = format!("{}/apiops/", path.strip_suffix("/apiops").unwrap_or(path));
        url.set_path(&path);
        Ok(Self {
            leaves_host_in_the_clear: url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()),
            name: url.domain().map(ToOwned::to_owned),
            url,
        })
    }

    /// Whether tokens sent there could be read on the way.
    pub fn leaves_host_in_the_clear(&self) -> bool {
        self.leaves_host_in_the_clear
    }

    /// The host, where it is a name and no address.
    pub(crate) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    /// Whether it is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// `{base}/apiops/projects/{project}/jwks/`
    ///
    /// # Errors
    /// Where the URL parser would change the path. No name that was checked is known to do that; were one found, a
    /// token would go to another resource than the one that was asked for.
    pub(crate) fn list_jwks(&self, project: &ProjectName) -> Result<Url, ProjectFault> {
        let path = format!("projects/{}/jwks/", project.path_segment());
        let url = self.url.join(&path).map_err(|_| ProjectFault::NoSegment)?;
        let is_as_meant = url.as_str().strip_prefix(self.url.as_str()) == Some(&path);
        if is_as_meant { Ok(url) } else { Err(ProjectFault::NoSegment) }
    }
}

/// Why a text is no Manager URL. It quotes nothing, since a mistyped URL may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlFault {
    /// No absolute URL with a host.
    #[error("expected a URL such as https://manager.example.com")]
    NoUrl,
    /// Another scheme.
    #[error("expected a URL that begins with http:// or https://")]
    Scheme,
    /// A user name or password.
    #[error("must not hold a user name or password; callers send a token, which is passed on")]
    UserInfo,
    /// A query or a fragment.
    #[error("must not hold a query or a fragment")]
    QueryOrFragment,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list_url(base: &str, project: &str) -> String {
        let project = ProjectName::new(project.to_owned()).expect("a name");
        BaseUrl::parse(base).expect("a base URL").list_jwks(&project).expect("a URL").into()
    }

    #[test]
    fn apiops_is_added_where_it_is_missing() {
        for base in ["https://m", "https://m/", "https://m/apiops", "https://m/apiops/", "HTTPS://M:443//"] {
            assert_eq!(list_url(base, "P"), "https://m/apiops/projects/P/jwks/", "{base}");
        }
        for base in ["http://m:8080/a/b", "http://m:8080/a/b/", "http://m:8080/a/b/apiops", "http://m:8080/a/b/apiops/"]
        {
            assert_eq!(list_url(base, "P"), "http://m:8080/a/b/apiops/projects/P/jwks/", "{base}");
        }
        assert_eq!(list_url("http://m/myapiops", "P"), "http://m/myapiops/apiops/projects/P/jwks/");
    }

    #[test]
    fn what_no_base_url_can_have_is_refused() {
        let fault = |text: &str| BaseUrl::parse(text).expect_err("a fault");
        for text in ["", "manager", "manager:8080/x y", "http://", "//m", "http://[::1", "http://m:99999"] {
            assert!(matches!(fault(text), BaseUrlFault::NoUrl | BaseUrlFault::Scheme), "{text}");
        }
        assert_eq!(fault("ftp://m"), BaseUrlFault::Scheme);
        for text in ["http://user@m", "http://:pass@m", "http://user:pass@m"] {
            assert_eq!(fault(text), BaseUrlFault::UserInfo, "{text}");
        }
        for text in ["http://m?", "http://m/?a=b", "http://m/#", "http://m/#a"] {
            assert_eq!(fault(text), BaseUrlFault::QueryOrFragment, "{text}");
        }
    }

    #[test]
    fn only_plain_http_to_another_host_leaves_in_the_clear() {
        let rows = [
            ("http://m", true),
            ("http://10.0.0.1", true),
            ("http://localhost.example.com", true),
            ("http://localhost:8080", false),
            ("http://127.0.0.1", false),
            ("http://127.9.9.9", false),
            ("http://[::1]:8080", false),
            ("https://m", false),
        ];
        for (text, expected) in rows {
            assert_eq!(BaseUrl::parse(text).expect("a base URL").leaves_host_in_the_clear(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_one_segment_of_the_url(name in any::<String>()) {
            if let Ok(project) = ProjectName::new(name) {
                let url = BaseUrl::parse("http://m/prefix").expect("a base URL").list_jwks(&project).expect("a URL");
                let segments: Vec<_> = url.path_segments().expect("segments").collect();
                let segment = project.path_segment().to_string();
                prop_assert_eq!(segments, ["prefix", "apiops", "projects", &segment, "jwks", ""]);
                prop_assert_eq!((url.query(), url.fragment(), url.host_str()), (None, None, Some("m")));
            }
        }
    }
}
