//! tonic's own server answering constants: the least that a call can cost. `constant ADDRESS DIRECTORY` answers each project
//! with the list that the file of its name in the directory holds.

use std::{collections::HashMap, env, fs};

use jwks_gateway::{
    codec::EncodedList,
    pb::{
        ListJwksRequest,
        jwk_service_server::{JwkService, JwkServiceServer},
    },
};
use tonic::{Request, Response, Status, transport::Server};

struct Constants(HashMap<String, EncodedList>);

#[tonic::async_trait]
impl JwkService for Constants {
    async fn list_jwks(&self, request: Request<ListJwksRequest>) -> Result<Response<EncodedList>, Status> {
        let list = self.0.get(&request.get_ref().project).ok_or_else(|| Status::not_found("no such file"))?;
        Ok(Response::new(list.clone()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(directory)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: constant ADDRESS DIRECTORY");
        return;
    };
    let mut lists = HashMap::new();
    for file in fs::read_dir(directory).expect("a directory") {
        let file = file.expect("a file");
        let list = EncodedList::from_json(&fs::read(file.path()).expect("a body")).expect("a list");
        lists.insert(file.file_name().into_string().expect("a name"), list);
    }
    let server = Server::builder().add_service(JwkServiceServer::new(Constants(lists)));
    server.serve(address.parse().expect("an address")).await.expect("a free port");
}
