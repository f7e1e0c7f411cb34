//! stub
/// x
#[derive(Debug, clap::Subcommand)] pub enum ModelCommand { /// x
 List }
/// x
pub fn run(_: ModelCommand) -> Result<(), String> { Ok(()) }
