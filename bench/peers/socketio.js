// A Socket.IO server for the side by side runs: "join" enters a room and is acknowledged, "msg" is
// broadcast to the room "bench". Usage: socketio.js PORT [deflate]
'use strict';

const http = require('http');
const { Server } = require('socket.io');

const port = Number(process.argv[2] || 8103);
const server = http.createServer();
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: process.argv[3] === 'deflate' ? { threshold: 256 } : false,
});

io.on('connection', (socket) => {
  socket.on('join', (room, acknowledge) => {
    socket.join(room);
    acknowledge(true);
  });
  socket.on('msg', (data) => io.to('bench').emit('msg', data));
});

server.listen({ port, host: '127.0.0.1', backlog: 4096 });
