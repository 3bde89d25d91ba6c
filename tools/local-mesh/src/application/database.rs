//! The database: answers each line with a line.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::pool::{ANSWER, QUESTION};
use super::role::Role;

/// Longest request line.
const MAX_LINE: usize = 8 * 1024;

pub(super) async fn serve(listener: TcpListener, role: Arc<Role>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let role = Arc::clone(&role);
            connections.spawn(async move {
                // The database ignores clients that disconnect.
                let _ = converse(stream, &role).await;
            });
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, role: &Role) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 || line.len() > MAX_LINE {
            return Ok(());
        }
        let number = role.next();
        tokio::time::sleep(role.delay(number)).await;
        let known = line.trim_end() == QUESTION.trim_end();
        let answer = if known { ANSWER } else { "error: only `GET rating` is known\n" };
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}
