//! Many requests, some at a time.

use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::remote::RemoteError;

/// Does tasks, so many at once, and gives what they come to as it comes. After the first that goes wrong none is begun, but those that
/// were are waited for, so that each can clean up behind itself.
pub(super) async fn each<T, F>(
    mut tasks: impl Iterator<Item = F>,
    at_once: usize,
    mut take: impl FnMut(T) -> Result<(), RemoteError>,
) -> Result<(), RemoteError>
where
    F: Future<Output = Result<T, RemoteError>>,
{
    let mut going = FuturesUnordered::new();
    let mut failed = None;
    loop {
        while failed.is_none() && going.len() < at_once {
            let Some(task) = tasks.next() else { break };
            going.push(task);
        }
        let Some(result) = going.next().await else { break };
        if let Err(error) = result.and_then(&mut take) {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}
