// What an app does with the SDK and stores: state, secrets, configuration and locks. Settings go over gRPC, everything else
// over HTTP.
//
// Prints "subscribed" once it waits for a change of the setting "colour", and at the end what it saw as one JSON object. The
// sidecar is the one of DAPR_HTTP_PORT and DAPR_GRPC_PORT; its components are "store", "secrets", "settings" and "locks".

import { CommunicationProtocolEnum, DaprClient, StateConcurrencyEnum } from "@dapr/dapr";

const LIMIT_MILLISECONDS = 240_000;
// The SDK does not export its names for them.
const UNLOCKED = ["SUCCESS", "LOCK_DOES_NOT_EXIST", "LOCK_BELONGS_TO_OTHERS", "INTERNAL_ERROR"];

const http = new DaprClient({ daprPort: process.env.DAPR_HTTP_PORT });
const grpc = new DaprClient({
  daprPort: process.env.DAPR_GRPC_PORT,
  communicationProtocol: CommunicationProtocolEnum.GRPC,
});

async function save(items) {
  const { error } = await http.state.save("store", items);
  if (error) throw error;
}

async function useState() {
  await save([
    { key: "a", value: { n: 1 } },
    { key: "b", value: { n: 2 } },
  ]);
  const found = await http.state.query("store", { filter: { EQ: { n: 1 } }, sort: [], page: { limit: 10 } });
  const [{ etag }] = await http.state.getBulk("store", ["a"]);
  const options = { concurrency: StateConcurrencyEnum.CONCURRENCY_FIRST_WRITE };
  await save([{ key: "a", value: { n: 3 }, etag, options }]);
  const { error } = await http.state.save("store", [{ key: "a", value: { n: 4 }, etag, options }]);
  await http.state.transaction("store", [
    { operation: "upsert", request: { key: "c", value: "c" } },
    { operation: "delete", request: { key: "b" } },
  ]);
  const bulk = await http.state.getBulk("store", ["a", "b", "c"]);
  const each = bulk.map(({ key, data }) => `${key}=${data === undefined ? "" : JSON.stringify(data)}`);
  return {
    queried: found.results.map(({ key }) => key).join(),
    conflict: error ? JSON.parse(JSON.parse(error.message).error_msg).errorCode : "none",
    bulk: each.sort().join(),
  };
}

async function useSecrets() {
  const { first } = await http.secret.get("secrets", "first");
  const all = await http.secret.getBulk("secrets");
  return { secret: first, secrets: Object.keys(all).sort().join() };
}

async function useSettings() {
  const { colour } = (await grpc.configuration.get("settings", ["colour"])).items;
  let told;
  const change = new Promise((resolve, reject) => {
    told = resolve;
    setTimeout(reject, LIMIT_MILLISECONDS, new Error("nobody told of the change")).unref();
  });
  const subscription = await grpc.configuration.subscribeWithKeys("settings", ["colour"], async ({ items }) =>
    told(items.colour.value),
  );
  console.log("subscribed");
  const changed = await change;
  await subscription.stop();
  return { setting: `${colour.value} ${colour.version}`, changed, ended: "true" };
}

async function useLocks() {
  const first = await http.lock.lock("locks", "door", "one", 60);
  const second = await http.lock.lock("locks", "door", "two", 60);
  const statuses = [];
  for (const owner of ["two", "one", "one"]) {
    const { status } = await http.lock.unlock("locks", "door", owner);
    statuses.push(UNLOCKED[status]);
  }
  return { locked: [first.success, second.success].join(), unlocked: statuses.join() };
}

await http.start();
const seen = {};
for (const use of [useState, useSecrets, useSettings, useLocks]) {
  Object.assign(seen, await use());
}
console.log(JSON.stringify(seen));
await grpc.stop();
await http.stop();
