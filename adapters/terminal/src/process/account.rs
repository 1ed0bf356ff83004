use std::path::PathBuf;

/// The account that this program runs as, as far as a shell needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub home: PathBuf,
    pub shell: PathBuf,
}

impl Account {
    /// Read from `/etc/passwd`; what is not found there comes from the environment, then from custom.
    ///
    /// Read by hand rather than through the C library: a static build has no name service switch.
    pub fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        find(&passwd, uid).unwrap_or_else(|| {
            let var = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
            Self {
                name: var("USER").unwrap_or_else(|| uid.to_string()),
                home: var("HOME").unwrap_or_else(|| "/".into()).into(),
                shell: var("SHELL").unwrap_or_else(|| "/bin/sh".into()).into(),
            }
        })
    }
}

fn find(passwd: &str, uid: u32) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        if fields.nth(1)?.parse() != Ok(uid) {
            return None;
        }
        let home = fields.nth(2)?;
        let shell = fields.next().filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh");
        Some(Account { name: name.into(), home: home.into(), shell: shell.into() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_by_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1000:1000::/home/ann:\n";
        let ann = find(passwd, 1000).expect("ann");
        assert_eq!((ann.name.as_str(), ann.shell.to_str()), ("ann", Some("/bin/sh")));
        assert_eq!(find(passwd, 0).expect("root").home, PathBuf::from("/root"));
        assert_eq!(find(passwd, 5), None);
    }
}
