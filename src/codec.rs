//! The codec of the server: requests by prost, answers as the bytes that they already are.

use prost::bytes::{BufMut as _, Bytes};
use tonic::{
    Status,
    codec::{Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

use crate::{answer, pb::ListJwksRequest, wire::Malformed};

/// A `ListJwksResponse` in protobuf's encoding.
#[derive(Clone, Debug)]
pub struct EncodedList(pub(crate) Bytes);

impl EncodedList {
    /// Reads the body of a 200 of the Manager.
    ///
    /// # Errors
    /// Where it is no list: not JSON, an error object, or an entry that is not as it is documented.
    pub fn from_json(body: &[u8]) -> Result<Self, Malformed> {
        answer::read_list(body).map(|list| Self(list.into()))
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads a `ListJwksRequest`, writes an [`EncodedList`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ListJwksCodec;

impl Codec for ListJwksCodec {
    type Encode = EncodedList;
    type Decode = ListJwksRequest;
    type Encoder = Self;
    type Decoder = ProstDecoder<ListJwksRequest>;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> ProstDecoder<ListJwksRequest> {
        ProstDecoder::default()
    }
}

impl Encoder for ListJwksCodec {
    type Item = EncodedList;
    type Error = Status;

    fn encode(&mut self, EncodedList(list): EncodedList, message: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.reserve(list.len());
        message.put_slice(&list);
        Ok(())
    }
}
