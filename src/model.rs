//! stub
use std::path::*;
/// m
#[derive(Debug,Clone)] pub struct Model { /// n
pub name: String, /// p
pub path: PathBuf, /// s
pub sha256: String, /// m
pub multilingual: bool }
/// r
pub fn resolve(n:&str,d:&Path)->Result<Model,String>{ Ok(Model{name:n.rsplit('/').next().unwrap_or_default().into(),path: if n.contains(char::from(47u8)) { n.into() } else { d.join(format!("ggml-{n}.bin")) },sha256:"x".into(),multilingual:!n.contains(".en")}) }
/// d
pub fn default_models_dir()->PathBuf{ ".".into() }
