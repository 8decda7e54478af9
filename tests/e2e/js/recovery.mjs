// socket.io-client that prints what it hears, one JSON array a line, and does what it is told:
//   node recovery.mjs URL TRANSPORTS AUTH [NAMESPACE]
//   ["emit", name, ...args]   with acknowledgement, printed as ["ack", ...]
//   ["cut"]                   the connection is gone, as when a network fails
//   ["stay away"] ["come back"]
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, transports, auth, namespace = "/"] = process.argv.slice(2);
const say = (...words) => console.log(JSON.stringify(words));
const socket = io(url + namespace, {
  transports: transports.split(","),
  auth: JSON.parse(auth),
  reconnectionDelay: 50,
  reconnectionDelayMax: 200,
});
const manager = socket.io;

socket.on("connect", () => say("connect", socket.id, socket.recovered));
socket.on("connect_error", (error) => say("connect_error", error.message));
socket.on("disconnect", (reason) => say("disconnect", reason));
socket.onAny((name, ...args) => say("event", name, ...args));

createInterface({ input: process.stdin }).on("line", (line) => {
  const [verb, ...rest] = JSON.parse(line);
  if (verb === "emit") {
    socket.emit(...rest, (...args) => say("ack", ...args));
  } else if (verb === "cut") {
    manager.engine.close();
  } else if (verb === "stay away") {
    manager.reconnection(false);
    manager.engine.close();
  } else if (verb === "come back") {
    manager.reconnection(true);
    socket.connect();
  }
});
