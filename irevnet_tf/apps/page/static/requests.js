// What is asked of the server. Errors have a sentence for the reader.

export async function ask(name, query = {}, body = null, signal = null) {
  const parameters = new URLSearchParams(query).toString();
  let answer;
  try {
    answer = await fetch(`/api/${name}${parameters && `?${parameters}`}`, {
      method: body === null ? "GET" : "POST",
      body,
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: is irevnet-demo running?");
  }
  if (answer.ok) return answer;
  let sentence = `The server answered ${answer.status}.`;
  try {
    sentence = (await answer.json()).error;
  } catch {
    // No sentence came with it.
  }
  throw new Error(sentence);
}

export async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}
