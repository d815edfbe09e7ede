//! Compiles the proto: the Rust types by prost and tonic, and the descriptor set that reflection serves.

use std::{env, error::Error, fs, path::PathBuf};

use tonic_prost_build::manual;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");

    // protox is a protobuf compiler in Rust, so nobody needs protoc.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_file("apinizer/apiops/v1/jwk_service.proto")?;

    // Not the set below: prost's types would drop the google.api.http option.
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.binpb");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure().build_server(false).compile_fds(compiler.file_descriptor_set())?;
    manual::Builder::new().build_client(false).compile(&[service()]);
    Ok(())
}

/// The server half, by hand: its answers are encoded already, see src/codec.rs. A test calls it with the client half.
fn service() -> manual::Service {
    let list_jwks = manual::Method::builder()
        .name("list_jwks")
        .route_name("ListJwks")
        .input_type("crate::pb::ListJwksRequest")
        .output_type("crate::codec::EncodedList")
        .codec_path("crate::codec::ListJwksCodec")
        .build();
    manual::Service::builder().package("apinizer.apiops.v1").name("JwkService").method(list_jwks).build()
}
