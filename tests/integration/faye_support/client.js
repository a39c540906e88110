'use strict';
// Faye's own client (npm faye) for the tests.
//
//   node client.js URL
//
// Reads commands from its standard input, one JSON object a line, and ends with it:
//   {"do":"subscribe","channel":"/a","token":"…"}   the token goes along, now and whenever the client subscribes again
//   {"do":"publish","channel":"/a","data":…,"raw":{"advice":…}}   with fields of the publisher's own beside `data`
// Prints what happens, one JSON object a line: {"event":"up"|"down"} of the transport, "handshake", "subscribed",
// "published", "refused" (what, error), and "message" (the whole of it, as it came over the wire).

const readline = require('readline');
const faye = require('faye');

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');
const client = new faye.Client(process.argv[2], { retry: 0.2 });
const tokens = {}; // of the channels that are subscribed to with one
const raws = []; // the raw fields of the publishes that have not been sent yet, in order

client.on('transport:up', () => say({ event: 'up' }));
client.on('transport:down', () => say({ event: 'down' }));
client.addExtension({
  outgoing: (message, callback) => {
    if (message.channel === '/meta/subscribe' && tokens[message.subscription]) {
      message.ext = { authentication_token: tokens[message.subscription] };
    }
    if (!message.channel.startsWith('/meta/')) Object.assign(message, raws.shift());
    callback(message);
  },
  incoming: (message, callback) => {
    if (message.channel === '/meta/handshake') say({ event: 'handshake', message: message });
    if (message.channel === '/meta/subscribe' && message.successful) {
      say({ event: 'subscribed', channel: message.subscription });
    }
    if ('data' in message) say({ event: 'message', message: message });
    callback(message);
  },
});

const commands = {
  subscribe: (c) => {
    tokens[c.channel] = c.token;
    client.subscribe(c.channel, () => {})
      .then(null, (error) => say({ event: 'refused', what: c.channel, error: `${error.code}: ${error.message}` }));
  },
  publish: (c) => {
    raws.push(c.raw || {});
    client.publish(c.channel, c.data).then(
      () => say({ event: 'published', channel: c.channel }),
      (error) => say({ event: 'refused', what: c.channel, error: `${error.code}: ${error.message}` }));
  },
};

const input = readline.createInterface({ input: process.stdin });
input.on('line', (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
input.on('close', () => process.exit(0));
