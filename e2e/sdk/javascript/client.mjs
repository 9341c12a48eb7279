// What an app does with the SDK: waits for its sidecar, reads and writes metadata, keeps state, invokes another app. State
// goes over gRPC, everything else over HTTP.
//
// Prints what it saw as one JSON object. The sidecar is the one of DAPR_HTTP_PORT and DAPR_GRPC_PORT; the arguments are
// the app to invoke and a state store.

import { CommunicationProtocolEnum, DaprClient, HttpMethod } from "@dapr/dapr";

const [callee, store] = process.argv.slice(2);
const http = new DaprClient({ daprPort: process.env.DAPR_HTTP_PORT });
const grpc = new DaprClient({
  daprPort: process.env.DAPR_GRPC_PORT,
  communicationProtocol: CommunicationProtocolEnum.GRPC,
});

await http.start();
await http.metadata.set("sdk", "javascript");
const metadata = await http.metadata.get();

const { error } = await grpc.state.save(store, [{ key: "greeting", value: "hello" }]);
if (error) throw error;
const saved = await grpc.state.get(store, "greeting");
await grpc.state.delete(store, "greeting");
const deleted = await grpc.state.get(store, "greeting");

const answer = await http.invoker.invoke(callee, "orders/7", HttpMethod.POST, { n: 1 });
const seen = { id: metadata.id, note: metadata.extended.sdk, saved, deleted, answer };
console.log(JSON.stringify(seen));
await grpc.stop();
await http.stop();
