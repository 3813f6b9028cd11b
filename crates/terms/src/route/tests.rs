use super::*;

fn parse(text: &str) -> Json {
    json::parse(text.as_bytes()).unwrap()
}

/// A route that takes some of everything.
fn transfer() -> Json {
    parse(
        r#"{"method":"POST","path":"/accounts/{id}/transfers","content":"json","inputSchema":{"type":"object","properties":{
        "path":{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]},
        "query":{"type":"object","properties":{"dry":{"type":"boolean"},"tag":{"type":"array","items":{"type":"string"}},
            "rate":{"type":"number"}}},
        "headers":{"type":"object","properties":{"idempotency-key":{"type":"string"}}},
        "body":{"type":"object","properties":{"amount":{"type":"number"}}}}}}"#,
    )
}

fn arguments(path: &str, query: &str, headers: &[(&str, &str)]) -> Result<Option<Object>, Crooked> {
    let route = Route::of(&transfer()).unwrap();
    route.arguments(&Path::read(path)?, &Query::read(query)?, headers)
}

#[test]
fn what_was_read_is_written_again_as_the_same_request() {
    let route = Route::of(&transfer()).unwrap();
    let given = arguments(
        "/accounts/17/transfers",
        "tag=b&dry=true&tag=a+b&rate=1.50",
        &[("idempotency-key", "k 1")],
    );
    let given = given.unwrap().unwrap();
    assert_eq!(
        Json::Object(given.clone()),
        parse(
            r#"{"path":{"id":17},"query":{"dry":true,"rate":1.5,"tag":["b","a b"]},"headers":{"idempotency-key":"k 1"}}"#
        )
    );
    let target = route.target(&given).unwrap();
    assert_eq!(target, "/accounts/17/transfers?dry=true&rate=1.5&tag=b&tag=a%20b");
    assert_eq!(route.header_values(&given).unwrap(), [("idempotency-key", "k 1".to_owned())]);
    let (path, query) = target.split_once('?').unwrap();
    assert_eq!(arguments(path, query, &[("idempotency-key", "k 1")]).unwrap().unwrap(), given);
}

#[test]
fn what_the_route_does_not_take_is_refused_by_name() {
    let there = "/accounts/17/transfers";
    let undeclared = |name: &str| Err(Crooked::Undeclared(name.to_owned()));
    assert_eq!(arguments(there, "_method=DELETE", &[]), undeclared("_method"));
    assert_eq!(arguments(there, "", &[("x-role", "admin")]), undeclared("x-role"));
    assert_eq!(arguments(there, "dry=true&dry=false", &[]), Err(Crooked::Twice("dry".to_owned())));
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(arguments(there, "", &twice), Err(Crooked::Twice("idempotency-key".to_owned())));
    for (path, query) in [
        ("/accounts/017/transfers", ""),
        ("/accounts/+17/transfers", ""),
        ("/accounts/1e1/transfers", ""),
        ("/accounts/17.0/transfers", ""),
        ("/accounts/99999999999999999999/transfers", ""),
        (there, "dry=TRUE"),
        (there, "dry=1"),
        (there, "dry"),
        (there, "rate=0x10"),
        (there, "rate=NaN"),
        (there, "rate="),
        (there, "rate=1e1"),
        (there, "rate=1E1"),
        (there, "rate=0.0000001"),
    ] {
        assert!(matches!(arguments(path, query, &[]), Err(Crooked::Form(..))), "{path}?{query}");
    }
    assert_eq!(arguments("/accounts/17", "", &[]), Ok(None));
}

#[test]
fn r2_arguments_that_are_not_whole_are_written_nowhere() {
    let route = Route::of(&transfer()).unwrap();
    for text in [
        "{}",
        r#"{"path":{}}"#,
        r#"{"path":{"id":"../x"}}"#,
        r#"{"path":{"id":null}}"#,
        r#"{"path":{"id":1},"query":{"other":1}}"#,
        r#"{"path":{"id":1},"query":{"dry":{"a":1}}}"#,
        r#"{"path":{"id":1},"query":{"dry":[true]}}"#,
    ] {
        let Json::Object(arguments) = parse(text) else { panic!() };
        assert_eq!(route.target(&arguments), None, "{text}");
    }
    for value in ["a\r\nx: y", "\u{e9}", "a\tb", "\u{7f}"] {
        let headers = Json::object([("idempotency-key", value)]);
        assert_eq!(route.header_values(&Object::from_iter([("headers", headers)])), None, "{value:?}");
    }
}

#[test]
fn a_form_is_read_by_its_schema_and_written_again() {
    let definition = parse(
        r#"{"method":"POST","path":"/login","content":"form","inputSchema":{"properties":{"body":{"properties":{
        "user":{"type":"string"},"n":{"type":"integer"}}}}}}"#,
    );
    assert!(Route::of(&definition).is_ok());
    let read = form(&definition, "n=3&user=a%26b+c").unwrap();
    assert_eq!(read, parse(r#"{"n":3,"user":"a&b c"}"#));
    assert_eq!(form_text(&definition, read.as_object().unwrap()).as_deref(), Some("n=3&user=a%26b%20c"));
    for text in ["n=3&n=4", "other=1", "n=x", "user=%ff", "&"] {
        assert!(form(&definition, text).is_err(), "{text}");
    }
}

#[test]
fn a_definition_with_which_a_request_could_be_read_in_two_ways_is_none() {
    for (what, with) in [
        (r#""method":"POST""#, r#""method":"post""#),
        (r#""content":"json""#, r#""content":"xml""#),
        (r#""content":"json","#, ""),
        (r#""id":{"type":"integer"}"#, r#""id":{"type":"object"}"#),
        (r#""id":{"type":"integer"}"#, r#""id":{"type":"array","items":{"type":"string"}}"#),
        (r#""id":{"type":"integer"}"#, r#""other":{"type":"integer"}"#),
        ("idempotency-key", "authorization"),
        ("idempotency-key", "x-forwarded-for"),
        ("idempotency-key", "user-agent"),
        ("idempotency-key", "x_account"),
        ("idempotency-key", "X-Account"),
        ("idempotency-key", "transfer-encoding"),
        (r#"/accounts/{id}"#, "/accounts/{id}.json"),
        (r#""method":"POST""#, r#""method":"DELETE""#),
    ] {
        let text = transfer().text();
        let changed = text.replacen(what, with, 1);
        // Canonical JSON has its members in order, so `"content":"json",` stands as it is written here.
        assert_ne!(changed, text, "{what}");
        assert!(Route::of(&parse(&changed)).is_err(), "{what} → {with}");
    }
    assert!(Route::of(&transfer()).is_ok());
}

#[test]
fn bytes_are_bound_by_their_digest() {
    let one = digest_of("text/csv", b"a,b");
    assert_ne!(one, digest_of("text/csv", b"a,c"));
    assert_eq!(one.get("digest").and_then(Json::as_str).map(str::len), Some(71));
}
