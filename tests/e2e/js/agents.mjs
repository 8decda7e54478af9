// agents.mjs page URL ORG USER [MS]: does what the application's page does, on the socket of Node's
// `ws`: joins the ids to the address without encoding them, hands (type, data) to its handlers,
// pings with JSON, reconnects after every close that it did not ask for (MS x 1.5^n, 10 attempts).
// Prints one JSON line an event; takes the lines `ping`, `disconnect`, `approve ID`
// and `deny ID`.
//
// agents.mjs stress URL CLIENTS ORGS: so many clients over so many organizations, each a user of its
// own. Prints "open" when all are welcomed; a line N says how many events each is to get; prints
// what it counted when all have them.
//
// agents.mjs deaf URL: answers no ping, but sends JSON pings; prints how it ends.
import readline from "node:readline";
import WebSocket from "ws";

const [mode, url, ...rest] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));
const lines = readline.createInterface({ input: process.stdin });

function page(org, user, firstMs = 3000) {
  let attempts = 0;
  let byHand = false;
  let socket;
  const address = `${url}/ws/agents?organizationId=${org}${user ? `&userId=${user}` : ""}`;
  const connect = () => {
    socket = new WebSocket(address);
    socket.onopen = () => {
      attempts = 0;
      print({ local: "connected", organizationId: org, userId: user });
    };
    socket.onmessage = (message) => {
      const { type, data, timestamp } = JSON.parse(message.data);
      print({ type, data, timestamp, agentId: data.agentId }); // handlers read fields unguarded
    };
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      print({ local: "disconnected", code, reason });
      if (byHand) return lines.close();
      if (attempts === 10) return print({ local: "reconnect:failed", attempts });
      setTimeout(connect, firstMs * 1.5 ** attempts++);
    };
  };
  lines.on("line", (line) => {
    if (line === "ping")
      socket.send(JSON.stringify({ type: "ping", data: {}, timestamp: new Date().toISOString() }));
    const [verb, permissionId] = line.split(" ");
    if (verb === "approve" || verb === "deny")
      socket.send(JSON.stringify({ type: `permission:${verb}`, data: { permissionId } }));
    if (line === "disconnect") {
      byHand = true;
      socket.close(1000, "Client disconnect");
    }
  });
  connect();
}

async function stress(count, orgs) {
  const clients = [];
  let wanted;
  const counted = { clients: count, events: 0, foreign: 0, disordered: 0 };
  const look = () => {
    if (wanted === undefined || clients.some((client) => client.events < wanted)) return;
    for (const client of clients) client.socket.close();
    print(counted);
    lines.close();
  };
  const hear = (client, { type, data }) => {
    counted.events++;
    client.events++;
    if (data.org !== client.org || (data.user && data.user !== client.user)) counted.foreign++;
    if (!data.user && data.n !== client.next++) counted.disordered++;
    if (type !== "task:created" && type !== "permission:pending") counted.foreign++;
    if (client.events === wanted) look();
  };
  const open = (i) => new Promise((resolve, reject) => {
    const client = { org: `org-${i % orgs}`, user: `user-${i}`, events: 0, next: 0 };
    const address = `${url}/ws/agents?organizationId=${client.org}&userId=${client.user}`;
    client.socket = new WebSocket(address, { perMessageDeflate: true });
    client.socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type !== "connected") return hear(client, event);
      clients.push(client);
      resolve();
    };
    client.socket.onerror = reject;
  });
  for (let i = 0; i < count; i += 100) {
    const some = Math.min(100, count - i);
    await Promise.all(Array.from({ length: some }, (_, k) => open(i + k)));
  }
  lines.once("line", (line) => {
    wanted = Number(line);
    look();
  });
  print("open");
}

function deaf() {
  const socket = new WebSocket(`${url}/ws/agents?organizationId=deaf`, { autoPong: false });
  let timer;
  socket.onopen = () => {
    timer = setInterval(() => socket.send('{"type":"ping"}'), 100);
  };
  socket.on("ping", () => print("ping"));
  socket.onerror = () => {};
  socket.onclose = ({ code, reason }) => {
    clearInterval(timer);
    print({ code, reason });
    lines.close();
  };
}

if (mode === "page") page(rest[0], rest[1], rest[2] && Number(rest[2]));
else if (mode === "stress") stress(Number(rest[0]), Number(rest[1]));
else deaf();
