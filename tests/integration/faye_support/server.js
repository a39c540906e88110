'use strict';
// A real Faye server (npm faye) for the tests.
//
//   node server.js [--port N] [--timeout SECONDS] [--token TOKEN] [--proxy http://127.0.0.1:PORT]
//
// Prints one JSON object a line: {"event":"ready","port":N} first, then what happens ("handshake", "subscribe",
// "refused", "disconnect"), each with the machine's monotonic clock as "at". Reads commands from its standard input, one JSON object a line:
//   {"do":"publish","channel":"/a","data":…,"raw":{"advice":…}}   {"do":"batch","channel":"/a","count":N}
//   {"do":"stream","channel":"/a","count":N,"per_second":R}   {"n":…,"at":…} each, then "streamed"; R 0: all at once
//   {"do":"token","token":"…"}   {"do":"destroy"} (forget every client)
// It ends when its standard input does.

const http = require('http');
const readline = require('readline');
const faye = require('faye');

const args = process.argv.slice(2);
const option = (name, fallback) => (args.includes(name) ? args[args.indexOf(name) + 1] : fallback);
const port = Number(option('--port', '0'));
const timeout = Number(option('--timeout', '25'));
const proxy = option('--proxy', '');
let token = option('--token', '');

const clock = () => Number(process.hrtime.bigint()) / 1e9; // seconds of CLOCK_MONOTONIC, as Python's time.monotonic()
const say = (what) => process.stdout.write(JSON.stringify(Object.assign(what, { at: clock() })) + '\n');

const bayeux = new faye.NodeAdapter({ mount: '/faye', timeout: timeout });

bayeux.addExtension({
  incoming: function (message, callback) {
    if (message.channel === '/meta/subscribe' && token) {
      const given = (message.ext || {}).authentication_token;
      if (given !== token) {
        message.error = '403:' + message.subscription + ':Wrong token ' + given;
        say({ event: 'refused', channel: message.subscription });
      }
    }
    callback(message);
  },
});

// A publisher may put anything beside `data`; the server forwards it. These are published "with" raw fields.
const clients = new Set();
const engine = bayeux._server._engine;
engine.bind('handshake', (id) => { clients.add(id); say({ event: 'handshake', client: id }); });
engine.bind('disconnect', (id) => { clients.delete(id); say({ event: 'disconnect', client: id }); });
engine.bind('subscribe', (id, channel) => say({ event: 'subscribe', client: id, channel: channel }));

const publish = (message) => bayeux._server.process(message, null, () => {});

let serial = 0;
const commands = {
  publish: (c) => {
    serial += 1;
    publish(Object.assign({ channel: c.channel, data: c.data, id: 'p' + serial, clientId: 'publisher' }, c.raw || {}));
  },
  batch: (c) => {
    for (let i = 0; i < c.count; i += 1) commands.publish({ channel: c.channel, data: { n: i } });
  },
  stream: (c) => {
    const began = clock();
    let n = 0;
    const some = () => {
      const due = c.per_second ? Math.min(c.count, Math.floor((clock() - began) * c.per_second) + 1) : c.count;
      for (; n < due; n += 1) commands.publish({ channel: c.channel, data: { n: n, at: clock() } });
      if (n < c.count) setTimeout(some, 1);
      else say({ event: 'streamed', channel: c.channel });
    };
    some();
  },
  token: (c) => { token = c.token; },
  destroy: () => { for (const id of [...clients]) engine.destroyClient(id); },
};

const forward = (request, response) => {
  const target = new URL(request.url, proxy);
  const onward = http.request(
    { host: target.hostname, port: target.port, path: request.url, method: request.method, headers: request.headers },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
  onward.on('error', () => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
  response.on('close', () => onward.destroy());
  request.pipe(onward);
};

const server = http.createServer((request, response) => {
  if (proxy) return forward(request, response);
  response.writeHead(404);
  return response.end();
});
bayeux.attach(server);
server.listen(port, '127.0.0.1', () => say({ event: 'ready', port: server.address().port }));

const input = readline.createInterface({ input: process.stdin });
input.on('line', (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
  if (command.reply) say({ event: 'done', reply: command.reply });
});
input.on('close', () => process.exit(0));
