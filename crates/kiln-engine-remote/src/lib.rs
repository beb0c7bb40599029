//! An engine over the Remote Execution API ("REAPI", version 2): programs run as actions on whatever workers a server has.
//!
//! [`RemoteEngine`] takes the place of Docker under the contract of [`kiln_engine`]. An image is a tree of digests here; what
//! a program is given is merged into that tree, and what it leaves comes back as one. Everything that comes back is hashed
//! before it is used.
//!
//! Such a server decides less about a program than an engine of containers: which limits there are is the business of
//! its workers, the root can be written to, and everything in it belongs to the program's user. [`UNKEPT`] names that, and
//! what runs there says that it was not checked. It builds no Dockerfiles by itself: it runs a program on a root that comes back, of
//! which others make that. It watches no services. A worker that puts the
//! root of an action anywhere but at `/`, or gives it a network, is refused.

mod action;
mod content;
mod ended;
mod engine;
mod export;
mod handshake;
mod image;
mod outputs;
mod root;
mod tree;
mod unpack;

pub use engine::{RemoteEngine, UNKEPT};
