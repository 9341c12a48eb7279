//! Hosts in, ready-made bytes out.

use bytes::{BufMut as _, Bytes};
use tonic::{
    Status,
    codec::{Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstCodec;
use trilby_proto::placement::v1::{Host, PlacementOrder};

/// Decodes [`Host`]s; passes on orders that are encoded already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OrderCodec;

/// See [`OrderCodec`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AsIs;

impl Codec for OrderCodec {
    type Encode = Bytes;
    type Decode = Host;
    type Encoder = AsIs;
    type Decoder = <ProstCodec<PlacementOrder, Host> as Codec>::Decoder;

    fn encoder(&mut self) -> AsIs {
        AsIs
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<PlacementOrder, Host>::default().decoder()
    }
}

impl Encoder for AsIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}
