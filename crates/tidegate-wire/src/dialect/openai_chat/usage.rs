//! The usage object, read in one pass wherever it stands: in a chunk, in a whole reply, inside `x_groq`.

use crate::{hub::Usage, json::Cursor};

#[cfg(test)]
mod tests;

/// OpenAI's usage object, and DeepSeek's name for cached tokens. Its counts are worth more than its form: one that is no
/// whole number is not known, details that are no object are none, and fields that nobody reads are passed over, kept in
/// the raw text. `None`: null, or no object at all.
pub(crate) fn usage(cursor: &mut Cursor<'_>) -> Option<Usage> {
    let (mut prompt, mut completion, mut total, mut cache_hits) = (None, None, None, None);
    let (mut cached, mut cache_write, mut reasoning) = (None, None, None);
    let raw = cursor.raw(|cursor| {
        cursor.fields(|cursor, key| {
            match key {
                b"prompt_tokens" => prompt = cursor.count()?,
                b"completion_tokens" => completion = cursor.count()?,
                b"total_tokens" => total = cursor.count()?,
                b"prompt_cache_hit_tokens" => cache_hits = cursor.count()?,
                b"prompt_tokens_details" => details(cursor, |key, count| match key {
                    b"cached_tokens" => cached = count,
                    b"cache_write_tokens" => cache_write = count,
                    _ => {}
                })?,
                b"completion_tokens_details" => details(cursor, |key, count| {
                    if key == b"reasoning_tokens" {
                        reasoning = count;
                    }
                })?,
                _ => cursor.skip()?,
            }
            Some(())
        })
    })?;
    let (prompt_tokens, completion_tokens) = (prompt.unwrap_or(0), completion.unwrap_or(0));
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: total.unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
        cached_tokens: cached.or(cache_hits),
        cache_write_tokens: cache_write,
        reasoning_tokens: reasoning,
        running: false,
        raw: Some(raw.into()),
    })
}

fn details(cursor: &mut Cursor<'_>, mut each: impl FnMut(&[u8], Option<u64>)) -> Option<()> {
    if !cursor.is_at_object() {
        return cursor.skip();
    }
    cursor.fields(|cursor, key| {
        each(key, cursor.count()?);
        Some(())
    })
}
