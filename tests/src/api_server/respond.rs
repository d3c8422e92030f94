//! What the scripted API server does with a request: reads, lists, creates and changes objects, as far as its clients look.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NAMESPACES, State};

/// Resources that can be listed.
const LISTED: [&str; 5] =
    ["namespaces", "pods", "nodes", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// The answer to a request that is answered at all.
pub(super) fn respond(
    state: &mut State,
    (method, path, query): (&Method, &str, &str),
    headers: &HeaderMap,
    body: &[u8],
) -> (StatusCode, Value) {
    let line = format!("{method} {path}");
    if state.forbidden.iter().any(|beginning| line.starts_with(beginning)) {
        let message = format!("{path} is forbidden: User \"scripted\" cannot {method} it");
        return failure(StatusCode::FORBIDDEN, "Forbidden", &message);
    }
    let old = state.objects.get(path).cloned();
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if method == Method::GET && path == NAMESPACES && accept.contains("as=PartialObjectMetadataList") {
        return (StatusCode::OK, state.namespaces());
    }
    if method == Method::GET {
        let listed = path.rsplit('/').next().is_some_and(|last| LISTED.contains(&last));
        if listed && old.is_none() && parameter(query, "watch").is_none() {
            return (StatusCode::OK, list(state, path, query));
        }
        return old.map_or_else(|| not_found(path), |object| (StatusCode::OK, object));
    }
    if method == Method::DELETE {
        return state.delete(path).map_or_else(|| not_found(path), |object| (StatusCode::OK, object));
    }
    let Ok(sent) = serde_json::from_slice::<Value>(body) else {
        return failure(StatusCode::BAD_REQUEST, "BadRequest", "the body is not JSON");
    };
    if method == Method::POST {
        return create(state, path, sent, parameter(query, "dryRun").is_some());
    }
    if method == Method::PUT {
        let Some(old) = old else { return not_found(path) };
        if let Some(conflict) = precondition(Some(&old), &sent) {
            return conflict;
        }
        return (StatusCode::OK, state.store(path, sent));
    }
    if method == Method::PATCH {
        return patch(state, path, headers, &sent);
    }
    failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "not scripted")
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// A page of the objects right below a path. A token says how many were listed before.
fn list(state: &State, collection: &str, query: &str) -> Value {
    let number = |name| parameter(query, name).and_then(|value| value.parse::<usize>().ok());
    let (limit, before) = (number("limit").unwrap_or(usize::MAX), number("continue").unwrap_or(0));
    let below = |path: &str| path.strip_prefix(collection)?.strip_prefix('/').map(|rest| !rest.contains('/'));
    let all: Vec<&Value> = state
        .objects
        .iter()
        .filter(|(path, _)| below(path) == Some(true))
        .map(|(_, object)| object)
        .collect();
    let page: Vec<&Value> = all.iter().skip(before).take(limit).copied().collect();
    let listed = before + page.len();
    let next = if listed < all.len() { listed.to_string() } else { String::new() };
    let metadata = json!({"resourceVersion": state.version.to_string(), "continue": next});
    json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page})
}

fn create(state: &mut State, collection: &str, object: Value, dry_run: bool) -> (StatusCode, Value) {
    let object = match &state.admission {
        Some(admission) => match admission(collection, object) {
            Ok(admitted) => admitted,
            Err((code, message)) => {
                let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return failure(code, "Refused", &message);
            }
        },
        None => object,
    };
    if dry_run {
        return (StatusCode::CREATED, object);
    }
    let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) else {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "metadata.name is missing");
    };
    let path = format!("{collection}/{name}");
    if state.objects.contains_key(&path) {
        return failure(StatusCode::CONFLICT, "AlreadyExists", &format!("{path} already exists"));
    }
    (StatusCode::CREATED, state.store(&path, object))
}

fn patch(state: &mut State, path: &str, headers: &HeaderMap, sent: &Value) -> (StatusCode, Value) {
    let old = state.objects.get(path).cloned();
    if let Some(conflict) = precondition(old.as_ref(), sent) {
        return conflict;
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let apply = kind.starts_with("application/apply-patch");
    let mut object = match (old, apply) {
        (Some(old), _) => old,
        (None, true) => json!({}),
        (None, false) => return not_found(path),
    };
    if apply || kind.starts_with("application/strategic-merge-patch") {
        merge_by_name(&mut object, sent);
    } else if kind.starts_with("application/merge-patch") {
        json_patch::merge(&mut object, sent);
    } else {
        return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", kind);
    }
    (StatusCode::OK, state.store(path, object))
}

/// Writes that name a uid or a resourceVersion apply to that very object only.
fn precondition(old: Option<&Value>, sent: &Value) -> Option<(StatusCode, Value)> {
    ["/metadata/uid", "/metadata/resourceVersion"].into_iter().find_map(|field| {
        let expected = sent.pointer(field)?;
        let found = old.and_then(|old| old.pointer(field));
        (found != Some(expected)).then(|| {
            failure(StatusCode::CONFLICT, "Conflict", &format!("{field} is {found:?}, not {expected}"))
        })
    })
}

/// Merges objects key by key, and lists of named objects by name; other lists are replaced.
fn merge_by_name(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge_by_name(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if from.iter().all(|item| item.get("name").is_some()) => {
            for item in from {
                match into.iter_mut().find(|old| old.get("name") == item.get("name")) {
                    Some(old) => merge_by_name(old, item),
                    None => into.push(item.clone()),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn not_found(path: &str) -> (StatusCode, Value) {
    failure(StatusCode::NOT_FOUND, "NotFound", &format!("{path} not found"))
}

pub(super) fn failure(code: StatusCode, reason: &str, message: &str) -> (StatusCode, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": message,
    });
    (code, status)
}
