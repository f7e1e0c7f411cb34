//! `schema`: the JSON Schemas of what is consumed, published and written.

use std::path::PathBuf;

use super::complain;
use crate::exit;
use crate::metrics::names;
use crate::schema;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// Name of one schema, such as `transcript.json`; without it all names are listed
    name: Option<String>,
    /// Write all schemas into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
    /// Print the list of CloudWatch metrics instead
    #[arg(long, conflicts_with_all = ["name", "write"])]
    metrics: bool,
}

/// Runs the command.
pub fn main(args: &SchemaArgs) -> u8 {
    if args.metrics {
        println!("{:#}", names::document());
        return exit::OK;
    }
    if let Some(dir) = &args.write {
        return match schema::write_to(dir) {
            Ok(()) => exit::OK,
            Err(error) => {
                complain(&format!("failed to write schemas to {}: {error}", dir.display()), exit::UNAVAILABLE)
            }
        };
    }
    let all = schema::all();
    let Some(name) = &args.name else {
        all.iter().for_each(|(name, _)| println!("{name}"));
        return exit::OK;
    };
    match all.iter().find(|(known, _)| known == name) {
        Some((_, schema)) => {
            println!("{schema:#}");
            exit::OK
        }
        None => complain(&format!("no schema {name}; `schema` lists them"), exit::USAGE),
    }
}
