//! Counts what a batch of trail events is about: a Lambda function without a language's runtime.

mod digest;
mod runtime;

fn main() -> std::io::Result<()> {
    runtime::serve(digest::of_batch)
}
