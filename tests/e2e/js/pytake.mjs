// pytake.mjs URL TRANSPORTS [TOKEN [NSP [PATH]]]: does what the application's page does, with
// socket.io-client: connects with the token in auth, prints one JSON line an event it hears. Lines
// of its input are commands: ["emit", event, args...], ["ack", event, args...] (prints what came
// back), ["transport"] (which one it is on), ["pings", N] (prints when N of them have come),
// ["disconnect"]. TRANSPORTS: polling,websocket, say.
import readline from "node:readline";
import { io } from "socket.io-client";

const [url, transports, token, nsp = "/", path = "/socket.io"] = process.argv.slice(2);
const print = (...value) => console.log(JSON.stringify(value));
const plain = (value) =>
  Array.isArray(value)
    ? value.map(plain)
    : value instanceof ArrayBuffer || ArrayBuffer.isView(value)
    ? { binary: Buffer.from(value).toString("base64") }
    : value;
const binary = (value) =>
  value?.binary !== undefined ? Buffer.from(value.binary, "base64") : value;

const socket = io(url + nsp, {
  path,
  auth: token ? { token } : undefined,
  transports: transports.split(","),
  upgrade: transports === "polling,websocket",
  reconnection: true,
  reconnectionAttempts: 5,
  reconnectionDelay: 100,
  reconnectionDelayMax: 200,
});
socket.on("connect", () => print("connect", socket.id));
socket.on("disconnect", (reason) => print("disconnect", reason));
socket.on("connect_error", (error) => print("connect_error", error.message));
socket.io.engine.on("upgrade", (transport) => print("upgrade", transport.name));
let pings = 0;
const onPings = [];
socket.io.on("ping", () => {
  pings++;
  onPings.forEach((look) => look());
});
socket.onAny((event, ...args) => print("event", event, ...args.map(plain)));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [verb, event, ...args] = JSON.parse(line);
  if (verb === "emit") socket.emit(event, ...args.map(binary));
  if (verb === "ack")
    socket.timeout(5000).emit(event, ...args, (error, ...got) =>
      print("ack", error ? error.message : null, ...got));
  if (verb === "pings") onPings.push(() => pings === event && print("pings", event));
  if (verb === "transport") print("transport", socket.io.engine.transport.name);
  if (verb === "disconnect") socket.disconnect();
}).on("close", () => process.exit(0));
