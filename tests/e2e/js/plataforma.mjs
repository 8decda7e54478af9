// plataforma.mjs client URL [MS]: does what the application's documented WebSocketClient does, on
// the socket of Node's `ws`: answers a heartbeat with the text ping, reconnects after MS doubling up
// to 30 times MS, which a successful connection resets. Prints one JSON line an event; a line that
// it reads is sent as it is; `close` ends it.
//
// plataforma.mjs deaf URL: answers no protocol ping and says nothing; prints how it ends.
import readline from "node:readline";
import WebSocket from "ws";

const [mode, url, firstMs = "1000"] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));

class WebSocketClient {
  constructor(address) {
    this.address = address;
    this.first = Number(firstMs);
    this.delay = this.first;
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(this.address);
    this.socket.onopen = () => {
      this.delay = this.first;
      print({ local: "open", extensions: this.socket.extensions });
    };
    this.socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "heartbeat") this.socket.send("ping");
      print(message);
    };
    this.socket.onerror = () => {};
    this.socket.onclose = ({ code, reason }) => {
      print({ local: "close", code, reason });
      if (this.done) return;
      setTimeout(() => this.connect(), this.delay);
      this.delay = Math.min(this.delay * 2, 30 * this.first);
    };
  }

  close() {
    this.done = true;
    this.socket.close();
  }
}

if (mode === "client") {
  const client = new WebSocketClient(url);
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    if (line !== "close") return client.socket.send(line);
    lines.close();
    client.close();
  });
} else {
  const socket = new WebSocket(url, { autoPong: false });
  socket.onclose = ({ code, reason }) => print({ code, reason });
}
