// durable.mjs URL CHANNEL: follows a channel with centrifuge-js over restarts of the server, prints
// one JSON line for each publication and each subscription.
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const [url, channel] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));
const client = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 200 });
const subscription = client.newSubscription(channel, { recoverable: true, positioned: true });
subscription.on("publication", ({ offset, data }) => print({ offset, data }));
subscription.on("subscribed", ({ wasRecovering, recovered, streamPosition }) =>
  print({ subscribed: true, wasRecovering, recovered, epoch: streamPosition?.epoch }));
subscription.subscribe();
client.connect();
process.stdin.on("end", () => process.exit(0)).resume();
