//! What images that Lambda runs have in common.

/// The program that starts functions in the base images that AWS publishes, in its place there.
pub const LAMBDA_ENTRYPOINT: &str = "/lambda-entrypoint.sh";
/// AWS's runtime interface client for Python, which asks Lambda for events and calls the handler.
pub const RUNTIME_CLIENT: &str = "awslambdaric";
