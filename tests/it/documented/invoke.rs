//! `docs/invoke.md`: one event for a function as it is published.

use crate::harness::Sandbox;
use crate::harness::page::Walk;
use kiln_record::exit;

#[test]
fn one_event_is_given_in_each_way() {
    let sandbox = Sandbox::new();
    let code =
        "def handler(event, context):\n    print('got', sorted(event))\n    return {'order': event['id']}\n";
    sandbox.function("orders", "3.13", code, "").write("event.json", "{\"id\": 7}");
    sandbox.kiln().run(["build", "orders"]).ends_with(exit::SUCCESS);
    let mut walk = Walk::of("docs/invoke.md", &[]);
    for outcome in walk.take::<3>(&sandbox.kiln()) {
        assert_eq!(outcome.json(), serde_json::json!({"order": 7}));
        outcome.says(&["got ['id']", "report orders@1 init ", " ms handled in ", " MiB of "]);
    }
}
