//! Who watches the worker, and how.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Who watches the worker, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching")]
pub struct WatchConfig {
    /// Status page, probes and Prometheus metrics on this address of loopback, such as 127.0.0.1:9477
    #[arg(long, env = "TRANSCRIPTION_HTTP", default_value = "off", value_parser = address, value_name = "ADDRESS|off")]
    pub http: Address,

    /// CloudWatch metrics as lines of JSON (Embedded Metric Format): among the log on stdout, or at the end of a file
    #[arg(long, env = "TRANSCRIPTION_EMF", default_value = "off", value_parser = emf, value_name = "off|stdout|FILE")]
    pub emf: Emf,

    /// The fleet that this worker's metrics belong to
    #[arg(long, env = "TRANSCRIPTION_FLEET", default_value = "transcription", value_parser = fleet, value_name = "NAME")]
    pub fleet: String,
}

/// Where the status is served; `None` is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub Option<SocketAddr>);

/// Where CloudWatch's lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emf {
    /// Nowhere.
    Off,
    /// Among the log's.
    Stdout,
    /// To the end of a file.
    File(PathBuf),
}

fn address(text: &str) -> Result<Address, String> {
    match text.trim() {
        "" | "off" => Ok(Address(None)),
        text => match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Address(Some(address))),
            Ok(_) => Err("only loopback is listened on, such as 127.0.0.1:9477".to_owned()),
            Err(_) => Err("it must be an address and a port, such as 127.0.0.1:9477, or off".to_owned()),
        },
    }
}

fn emf(text: &str) -> Result<Emf, String> {
    Ok(match text.trim() {
        "" | "off" => Emf::Off,
        "stdout" => Emf::Stdout,
        path => Emf::File(path.into()),
    })
}

/// A dimension of CloudWatch must not be empty.
fn fleet(text: &str) -> Result<String, String> {
    let name = text.trim();
    if (1..=250).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Ok(name.to_owned());
    }
    Err("it must be a name of 1 to 250 ASCII characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_loopback_or_off() {
        for text in ["off", "", " off "] {
            assert_eq!(address(text), Ok(Address(None)), "{text}");
        }
        for text in ["127.0.0.1:9477", "[::1]:80", "127.8.0.1:0"] {
            assert!(matches!(address(text), Ok(Address(Some(_)))), "{text}");
        }
        for text in ["0.0.0.0:9477", "10.0.0.1:80", "9477", "localhost:9477", "on"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn metrics_go_nowhere_to_the_log_or_to_a_file_and_have_a_fleet() {
        assert_eq!((emf("off"), emf(""), emf("stdout")), (Ok(Emf::Off), Ok(Emf::Off), Ok(Emf::Stdout)));
        assert_eq!(emf("/var/log/m.jsonl"), Ok(Emf::File("/var/log/m.jsonl".into())));
        assert_eq!(fleet(" a b "), Ok("a b".to_owned()));
        assert!(fleet("").is_err() && fleet("ü").is_err() && fleet(&"x".repeat(251)).is_err());
    }
}
