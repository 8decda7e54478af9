// sse.mjs URL N: follows URL with an EventSource, unmodified, through breaks; prints N events of
// any name as JSON lines, and the word open on every open.
import { EventSource } from "eventsource";

const [url, count] = process.argv.slice(2);
let left = Number(count);
const source = new EventSource(url);
source.onopen = () => console.log("open");
const print = (event) => {
  console.log(JSON.stringify({ type: event.type, id: event.lastEventId, data: event.data }));
  if (--left === 0) source.close();
};
for (const name of ["message", "done", "recado-reset"]) source.addEventListener(name, print);
source.onerror = (event) => {
  if (event.code !== undefined) {
    console.log(JSON.stringify({ refused: event.code }));
    source.close();
  }
};
