//! Lambda's side: events come from its runtime API, and answers go there (AWS Lambda developer guide, "Using the Lambda
//! runtime API").

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

const INVOCATIONS: &str = "/2018-06-01/runtime/invocation";

struct Answer {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Asks for events and answers each, until the sandbox ends.
///
/// # Errors
/// If the API cannot be reached, or answers what makes no sense.
pub fn serve(handle: impl Fn(&[u8]) -> std::result::Result<Vec<u8>, String>) -> Result<()> {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(Error::other)?;
    loop {
        let event = call(&host, &format!("GET {INVOCATIONS}/next"), b"")?;
        let mut headers = event.headers.iter();
        let id = headers.find(|(name, _)| name == "lambda-runtime-aws-request-id");
        let (_, id) = id.ok_or_else(|| Error::other("an invocation has no id"))?;
        match handle(&event.body) {
            Ok(answer) => call(&host, &format!("POST {INVOCATIONS}/{id}/response"), &answer)?,
            Err(why) => {
                let error = serde_json::json!({"errorType": "BadBatch", "errorMessage": why}).to_string();
                call(&host, &format!("POST {INVOCATIONS}/{id}/error"), error.as_bytes())?
            }
        };
    }
}

/// One request. The API is on the same machine, and closes each connection.
fn call(host: &str, request: &str, body: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(host)?;
    let length = body.len();
    write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")?;
    stream.write_all(body)?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(answer) = read(&bytes)? {
            return Ok(answer);
        }
        match stream.read(&mut chunk)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The answer in some bytes; none if there must be more.
fn read(bytes: &[u8]) -> Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = response.parse(bytes).map_err(Error::other)? else {
        return Ok(None);
    };
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|header| (header.name.to_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    Ok(bytes.get(start..start + length).map(|body| Answer { headers, body: body.to_vec() }))
}
