// How the tests talk to a client library: each line of standard input is a command, each line of standard output the answer to
// one, both in JSON. Commands run at the same time; an answer has the ID of its command.
import { createInterface } from 'node:readline';

// serve runs commands until the end of the input. An action gets the command and returns what the library made of it.
export function serve(actions, describe) {
  createInterface({ input: process.stdin }).on('line', async (line) => {
    const command = JSON.parse(line);
    const answer = { id: command.id };
    try {
      const action = actions[command.do];
      if (!action) throw new Error(`this client cannot ${command.do}`);
      await action(command, answer);
    } catch (error) {
      answer.error = { classes: classes(error), message: error.message, ...describe(error) };
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
  });
}

// collect adds a stream's events to the answer, also those before an error. After the event with the number stop_after it leaves
// the loop, whereupon the library cuts the connection.
export async function collect(stream, command, answer) {
  answer.events = [];
  for await (const event of stream) {
    answer.events.push(event);
    if (event.sequence_number === command.stop_after) return;
  }
}

// all reads all pages of a list.
export async function all(pages, answer) {
  answer.items = [];
  for await (const item of pages) answer.items.push(item);
}

// classes lists what an error is an instance of, the nearest class first.
function classes(error) {
  const names = [];
  for (let p = Object.getPrototypeOf(error); p && p !== Object.prototype; p = Object.getPrototypeOf(p)) {
    names.push(p.constructor.name);
  }
  return names;
}
