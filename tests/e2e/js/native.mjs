// native.mjs CASE OPTIONS: one case of the native dialect with the official client, unmodified.
// OPTIONS is JSON: {ws, api, ...}. Ends with code 0 when everything was as it must be.
import assert from "node:assert/strict";
import { Centrifuge, SubscriptionState } from "centrifuge";
import WebSocket from "ws";

const [name, text] = process.argv.slice(2);
const options = JSON.parse(text);

const clients = [];
function client(more = {}) {
  const c = new Centrifuge(options.ws, {
    websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200, ...more,
  });
  clients.push(c);
  return c;
}

const once = (target, event) => new Promise((resolve) => target.once(event, resolve));

async function connected(more) {
  const c = client(more);
  const wait = once(c, "connected");
  c.connect();
  await wait;
  return c;
}

async function subscribed(c, channel, more) {
  const sub = c.newSubscription(channel, more);
  const wait = once(sub, "subscribed");
  sub.subscribe();
  return { sub, context: await wait };
}

async function api(verb, body) {
  const answer = await fetch(`${options.api}/api/${verb}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const parsed = await answer.json();
  assert.equal(parsed.error, undefined, JSON.stringify(parsed));
  return parsed.result;
}

// The next n values of an event, collected from now on.
function collect(target, event, n) {
  const values = [];
  return new Promise((resolve) => {
    target.on(event, (value) => {
      values.push(value);
      if (values.length === n) resolve(values);
    });
  });
}

const refused = async (promise, code) =>
  assert.rejects(promise, (e) => e.code === code || assert.fail(JSON.stringify(e)));

const cases = {
  async publish() {
    const c = await connected();
    const { sub, context } = await subscribed(c, "open:a");
    assert.equal(context.positioned, true);
    const got = collect(sub, "publication", 3);
    await sub.publish({ n: 1 });
    await c.publish("open:a", { n: 2, text: "olá \u{1F600}" });
    await api("publish", { channel: "open:a", data: [1, "x", null], type: "done", tags: { k: "v" } });
    const [one, two, three] = await got;
    assert.deepEqual(one.data, { n: 1 });
    assert.equal(one.offset, 1);
    assert.equal(one.info.client.length, 36);
    assert.deepEqual(two.data, { n: 2, text: "olá \u{1F600}" });
    assert.deepEqual(three.data, [1, "x", null]);
    assert.deepEqual(three.tags, { k: "v", type: "done" });
    assert.equal(three.offset, 3);
    assert.equal(three.info, undefined);
  },

  async refusals() {
    const c = await connected();
    await refused(c.publish("a b", {}), 107);
    await refused(c.publish("quiet:a", {}), 103);
    await refused(c.rpc("anything", {}), 104);
    await refused(c.history("open:a", { limit: 1 }), 103);
    await refused(c.presence("open:a"), 103);
    await subscribed(c, "quiet:a");
    await refused(c.history("quiet:a", { limit: 1 }), 108);
    await refused(c.presenceStats("quiet:a"), 108);
    await c.send({ nobody: "listens" });
    const closed = c.newSubscription("closed:a");
    const gone = once(closed, "unsubscribed");
    closed.subscribe();
    assert.equal((await gone).code, 103);
  },

  async history() {
    const c = await connected();
    const { sub } = await subscribed(c, "open:h");
    for (let n = 1; n <= 5; n++) await sub.publish({ n });
    const numbers = (h) => h.publications.map((p) => p.data.n);
    const all = await sub.history({ limit: -1 });
    assert.deepEqual(numbers(all), [1, 2, 3, 4, 5]);
    assert.equal(all.offset, 5);
    assert.deepEqual(numbers(await sub.history({ limit: 2 })), [1, 2]);
    assert.deepEqual(numbers(await sub.history({ limit: 2, reverse: true })), [5, 4]);
    const since = { offset: 2, epoch: all.epoch };
    assert.deepEqual(numbers(await sub.history({ limit: 2, since })), [3, 4]);
    assert.deepEqual(numbers(await sub.history({ limit: -1, since, reverse: true })), [1]);
    assert.deepEqual(numbers(await sub.history({ limit: 0 })), []);
    await refused(sub.history({ limit: 1, since: { offset: 2, epoch: "nonsense" } }), 112);
  },

  async presence() {
    const a = await connected({ token: options.ana });
    const b = await connected({ token: options.bob });
    const { sub } = await subscribed(a, "open:p", { joinLeave: true });
    const joined = once(sub, "join");
    const left = once(sub, "leave");
    const { sub: other } = await subscribed(b, "open:p");
    const join = await joined;
    assert.equal(join.info.user, "bob");
    assert.deepEqual(join.info.connInfo, { name: "Bob" });
    const { clients: there } = await sub.presence();
    assert.deepEqual(Object.values(there).map((i) => i.user).sort(), ["ana", "bob"]);
    assert.equal(there[join.info.client].user, "bob");
    const stats = await sub.presenceStats();
    assert.deepEqual([stats.numClients, stats.numUsers], [2, 2]);
    other.unsubscribe();
    assert.equal((await left).info.user, "bob");
  },

  async recover() {
    const c = await connected();
    const { sub } = await subscribed(c, "open:r", { recoverable: true });
    const first = once(sub, "publication");
    await sub.publish({ n: 1 });
    await first;
    c.disconnect();
    for (let n = 2; n <= 4; n++) await api("publish", { channel: "open:r", data: { n } });
    const got = collect(sub, "publication", 4);
    const back = once(sub, "subscribed");
    c.connect();
    const context = await back;
    assert.equal(context.wasRecovering, true);
    assert.equal(context.recovered, true);
    await api("publish", { channel: "open:r", data: { n: 5 } });
    assert.deepEqual((await got).map((p) => p.data.n), [2, 3, 4, 5]);
  },

  async not_recovered() {
    const c = await connected();
    const { sub } = await subscribed(c, "short:r", { recoverable: true });
    const first = once(sub, "publication");
    await api("publish", { channel: "short:r", data: 0 });
    await first;
    c.disconnect();
    for (let n = 1; n <= 9; n++) await api("publish", { channel: "short:r", data: n });
    const back = once(sub, "subscribed");
    c.connect();
    const context = await back;
    assert.equal(context.wasRecovering, true);
    assert.equal(context.recovered, false);
  },

  // More than one answer holds, from two writers, while the client is away.
  async recover_much() {
    const c = await connected();
    const { sub } = await subscribed(c, "long:r", { recoverable: true });
    const first = once(sub, "publication");
    await api("publish", { channel: "long:r", data: 0 });
    await first;
    c.disconnect();
    for (let round = 0; round < 30; round++) {
      const commands = [];
      for (let i = 0; i < 100; i++)
        commands.push({ publish: { channel: "long:r", data: round * 100 + i + 1 } });
      await api("batch", { commands, parallel: false }).catch(() => assert.fail("batch"));
    }
    const got = collect(sub, "publication", 3001);
    c.connect();
    await once(sub, "subscribed");
    await api("publish", { channel: "long:r", data: 3001 });
    const numbers = (await got).map((p) => p.data);
    assert.deepEqual(numbers, Array.from({ length: 3001 }, (_, i) => i + 1));
  },

  async filter() {
    const c = await connected();
    const { sub } = await subscribed(c, "open:f", {
      tagsFilter: { op: "and", nodes: [
        { key: "type", cmp: "in", vals: ["a", "b"] }, { key: "size", cmp: "gte", val: "10" },
      ] },
    });
    const got = collect(sub, "publication", 2);
    const publish = (data, type, size) =>
      api("publish", { channel: "open:f", data, type, tags: { size } });
    await publish(1, "a", "9.5");
    await publish(2, "a", "10");
    await publish(3, "c", "99");
    await publish(4, "b", "1e3");
    assert.deepEqual((await got).map((p) => p.data), [2, 4]);
  },

  async pattern() {
    const c = await connected();
    const { sub } = await subscribed(c, "open:*");
    const got = collect(sub, "publication", 2);
    await api("publish", { channel: "open:x", data: 1 });
    await api("publish", { channel: "quiet:x", data: 2 });
    await api("publish", { channel: "open:y", data: 3 });
    assert.deepEqual((await got).map((p) => p.data), [1, 3]);
  },

  async server_side() {
    const c = client({ token: options.subs });
    const seen = once(c, "subscribed");
    const got = collect(c, "publication", 3);
    c.connect();
    await once(c, "connected");
    assert.equal((await seen).channel, "closed:mine");
    const first = once(c, "publication");
    await api("publish", { channel: "closed:mine", data: 1 });
    await first;
    c.disconnect();
    await api("publish", { channel: "closed:mine", data: 2 });
    const again = once(c, "subscribed");
    c.connect();
    assert.equal((await again).recovered, true);
    await api("publish", { channel: "closed:mine", data: 3 });
    assert.deepEqual((await got).map((p) => p.data), [1, 2, 3]);
    const gone = once(c, "unsubscribed");
    await api("unsubscribe", { user: "ana", channel: "closed:mine" });
    await gone;
    const put = once(c, "subscribed");
    await api("subscribe", { user: "ana", channel: "closed:other" });
    assert.equal((await put).channel, "closed:other");
  },

  async subscription_token() {
    const c = await connected({ token: options.ana });
    const { sub } = await subscribed(c, "closed:a", { token: options.sub });
    const got = once(sub, "publication");
    await api("publish", { channel: "closed:a", data: 7 });
    assert.equal((await got).data, 7);
    const other = c.newSubscription("closed:b", { token: options.sub });
    const gone = once(c, "disconnected");
    other.subscribe(); // a good token, but for another channel
    assert.equal((await gone).code, 3500);
  },

  // Tokens of the shortest life: the client asks for new ones before they end.
  async refresh() {
    const tokens = [...options.tokens];
    const subTokens = [...options.subTokens];
    let asked = 0, subAsked = 0;
    const c = await connected({ getToken: async () => tokens[Math.min(asked++, tokens.length - 1)] });
    await subscribed(c, "closed:a", {
      getToken: async () => subTokens[Math.min(subAsked++, subTokens.length - 1)],
    });
    c.on("disconnected", (context) => assert.fail(JSON.stringify(context)));
    while (asked < 2 || subAsked < 2) await new Promise((resolve) => setTimeout(resolve, 50));
    const sub = c.getSubscription("closed:a");
    const got = once(sub, "publication");
    await api("publish", { channel: "closed:a", data: 1 });
    await got;
    assert.equal(sub.state, SubscriptionState.Subscribed);
    c.removeAllListeners("disconnected");
  },

  async expired_token() {
    const c = client({ token: options.expired, getToken: async () => options.ana });
    c.connect();
    await once(c, "connected");
  },

  async bad_token() {
    const c = client({ token: options.bad });
    const gone = once(c, "disconnected");
    c.connect();
    assert.equal((await gone).code, 3500);
  },

  async disconnect_by_api() {
    const c = await connected({ token: options.ana });
    const gone = once(c, "disconnected");
    await api("disconnect", { user: "ana" });
    assert.equal((await gone).code, 3503);
  },

  async pings() {
    const c = await connected(); // the server's interval is a fraction of a second here
    let lost = false;
    c.on("connecting", () => { lost = true; });
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await c.publish("open:ping", i);
    }
    assert.equal(lost, false);
  },

  async many_channels() {
    const c = await connected();
    const subs = await Promise.all(
      Array.from({ length: 100 }, (_, i) => subscribed(c, `open:m${i}`)));
    const got = subs.map(({ sub }) => once(sub, "publication"));
    await Promise.all(subs.map(({ sub }, i) => sub.publish(i)));
    assert.deepEqual((await Promise.all(got)).map((p) => p.data), subs.map((_, i) => i));
  },
};

await cases[name]();
for (const c of clients) c.disconnect();
