// A client of npm's openai. Its argument is the name of the package, openai6 or openai7.
import { all, collect, serve } from './serve.mjs';

const { OpenAI, toFile } = await import(process.argv[2]);

const openai = new OpenAI({ apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL + '/v1', maxRetries: 0 });

const client = ({ base_url }) => (base_url ? openai.withOptions({ baseURL: base_url + '/v1' }) : openai);

const options = ({ headers, max_retries }) => ({ headers, maxRetries: max_retries ?? 0 });

// finish waits for the end of a stream that the library puts together itself.
async function finish(stream, command, answer) {
  let snapshot = '';
  stream.on('response.output_text.delta', (event) => {
    snapshot = event.snapshot;
  });
  await collect(stream, command, answer);
  answer.response = await stream.finalResponse();
  answer.output_text = answer.response.output_text;
  answer.snapshot = snapshot;
}

function keep(response, answer) {
  answer.response = response;
  answer.output_text = response.output_text;
}

serve(
  {
    async create(c, answer) {
      keep(await client(c).responses.create(c.body, options(c)), answer);
    },
    async stream(c, answer) {
      await collect(await client(c).responses.create({ ...c.body, stream: true }, options(c)), c, answer);
    },
    async helper(c, answer) {
      await finish(client(c).responses.stream(c.body, options(c)), c, answer);
    },
    async retrieve(c, answer) {
      keep(await client(c).responses.retrieve(c.response_id, {}, options(c)), answer);
    },
    async resume(c, answer) {
      const query = { stream: true, starting_after: c.starting_after };
      await collect(await client(c).responses.retrieve(c.response_id, query, options(c)), c, answer);
    },
    async resume_helper(c, answer) {
      const { response_id, starting_after } = c;
      await finish(client(c).responses.stream({ response_id, starting_after }, options(c)), c, answer);
    },
    async cancel(c, answer) {
      keep(await client(c).responses.cancel(c.response_id, options(c)), answer);
    },
    async delete(c) {
      await client(c).responses.delete(c.response_id, options(c));
    },
    async input_items(c, answer) {
      await all(client(c).responses.inputItems.list(c.response_id, c.query, options(c)), answer);
    },
    async file_create(c, answer) {
      const file = await toFile(Buffer.from(c.file.content), c.file.filename);
      answer.response = await client(c).files.create({ file, ...c.body }, options(c));
    },
    async file_retrieve(c, answer) {
      answer.response = await client(c).files.retrieve(c.file.id, options(c));
    },
    async file_wait(c, answer) {
      answer.response = await client(c).files.waitForProcessing(c.file.id, { pollInterval: 20 });
    },
    async file_list(c, answer) {
      await all(client(c).files.list(c.query, options(c)), answer);
    },
    async file_content(c, answer) {
      answer.output_text = await (await client(c).files.content(c.file.id, options(c))).text();
    },
    async file_delete(c, answer) {
      answer.response = await client(c).files.delete(c.file.id, options(c));
    },
    async batch_create(c, answer) {
      answer.response = await client(c).batches.create(c.body, options(c));
    },
    async batch_retrieve(c, answer) {
      answer.response = await client(c).batches.retrieve(c.batch_id, options(c));
    },
    async batch_cancel(c, answer) {
      answer.response = await client(c).batches.cancel(c.batch_id, options(c));
    },
    async batch_list(c, answer) {
      await all(client(c).batches.list(c.query, options(c)), answer);
    },
  },
  ({ status, type, code, param }) => ({ status, type, code, param }),
);
