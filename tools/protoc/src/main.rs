//! The part of `protoc` that build scripts use: compiles `.proto` files into a set of descriptors.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut includes, mut files, mut output) = (Vec::new(), Vec::new(), None);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .map(PathBuf::from)
                .ok_or("a path is missing")
        };
        match argument.to_str() {
            Some("-I") => includes.push(value()?),
            Some("-o") => output = Some(value()?),
            // They are always included.
            Some("--include_imports" | "--include_source_info") => {}
            Some(other) if other.starts_with('-') => {
                return Err(
                    format!("{other} is not known here; set PROTOC to a real protoc").into(),
                );
            }
            _ => files.push(PathBuf::from(argument)),
        }
    }
    let set = protox::compile(files, includes)?;
    std::fs::write(output.ok_or("-o is missing")?, set.encode_to_vec())?;
    Ok(())
}
