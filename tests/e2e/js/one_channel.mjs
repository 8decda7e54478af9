// one_channel.mjs OPTIONS: the clients of seven systems side by side, unmodified. Prints
// {"ready": true} when all of them are there, then {"who": .., "got": ..} for everything that they
// receive. OPTIONS is JSON: {base, tenant, token, conversation, type}. Ends when its input does.
import { Centrifuge } from "centrifuge";
import { EventSource } from "eventsource";
import { io } from "socket.io-client";
import WebSocket from "ws";

const { base, tenant, token, conversation, type } = JSON.parse(process.argv[2]);
const wsBase = base.replace("http", "ws");
const channel = `conversation:${conversation}`;
const print = (line) => console.log(JSON.stringify(line));
const hear = (who) => (got) => print({ who, got });

// A page's or program's own WebSocket: it is there when it is open, or has been greeted.
function plain(who, path, greeting) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(wsBase + path);
    const hello = hear(who);
    let greeted = greeting === undefined;
    ws.on("open", () => greeted && resolve());
    ws.on("error", reject);
    ws.on("message", (data) => {
      const text = data.toString();
      if (!greeted && JSON.parse(text).type === greeting) {
        greeted = true;
        resolve();
      } else {
        hello(text);
      }
    });
  });
}

function pytake() {
  return new Promise((resolve, reject) => {
    const socket = io(base, { path: "/socket.io", auth: { token }, transports: ["websocket"] });
    socket.on("connect_error", reject);
    socket.on("connect", () => socket.emit("join_conversation", { conversation_id: conversation }));
    socket.on("joined_conversation", () => {
      socket.onAny((event, ...args) => hear("pytake")({ event, args }));
      resolve();
    });
  });
}

function centrifuge() {
  return new Promise((resolve, reject) => {
    const client = new Centrifuge(`${wsBase}/connection/websocket`, { websocket: WebSocket, token });
    const sub = client.newSubscription(channel);
    sub.on("publication", ({ data, tags }) => hear("centrifuge")({ data, tags }));
    sub.on("subscribed", resolve);
    sub.on("error", reject);
    client.on("error", reject);
    sub.subscribe();
    client.connect();
  });
}

function eventSource() {
  return new Promise((resolve, reject) => {
    const query = new URLSearchParams({ channel, token });
    const source = new EventSource(`${base}/events?${query}`);
    source.onopen = resolve;
    source.onerror = (event) => reject(new Error(event.message));
    source.addEventListener(type, ({ data }) => hear("eventsource")(data));
  });
}

await Promise.all([
  plain("orquestrador", "/ws"),
  plain("agents", `/ws/agents?organizationId=${tenant}&userId=ana`, "connected"),
  plain("plataforma", "/ws/notifications", "connection"),
  plain("conductor", "/ws/gamification", "connected"),
  pytake(),
  centrifuge(),
  eventSource(),
]);
print({ ready: true });
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
