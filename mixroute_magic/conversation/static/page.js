// Tells the kernel the notebook as it is on this page, now and after every change of its cells or of a path:
//
// {path, cells: [[id, turn, …], …], others: {client: path, …}}
//
// and puts back what was missed: a page that is loaded again while a cell runs never gets that cell's output. So the kernel
// tells a page that it hears for the first time what has ended lately:
//
// {client, missed: [{cell, turn, began, seconds, data, metadata}, …]}, which began and ended so many seconds ago
//
// All code cells in order, each with the ids of the turns that its outputs show; and the notebooks that share the kernel in
// this window, by the client id of their connection. What is read here is JupyterLab's own and no public interface:
// where any of it is missing, nothing is told.

const WIDGET = "application/vnd.jupyter.widget-view+json";

const isCode = ({ type }) => type === "code"; // a chat cell that became a text cell holds no turn

function turns({ outputs }) {
  const records = Array.from({ length: outputs?.length ?? 0 }, (_, place) => outputs.get(place).metadata?.mixroute);
  return records.filter((record) => record?.kind === "turn").map((record) => record.turn);
}

function others({ session, sessionManager }) {
  const { kernel } = session ?? {};
  const sessions = [...(sessionManager?._sessionConnections ?? [])];
  const sharing = sessions.filter((other) => other.kernel?.id === kernel?.id && other.kernel !== kernel);
  return Object.fromEntries(sharing.map((other) => [other.kernel.clientId, other.path]));
}

// Sends on the channel of the requests to execute, and in their order. JupyterLab sends a widget's own messages to a
// subshell of the kernel where there is one: a thread of its own, which a cell that is run at once may overtake.
function send(model, kernel, content) {
  const comm_id = model.get("comm_id");
  const header = {
    msg_id: `${comm_id}_${performance.now()}_${Math.random()}`,
    msg_type: "comm_msg",
    session: kernel.clientId,
    username: kernel.username,
    date: new Date().toISOString(),
    version: "5.3",
  };
  const message = { channel: "shell", header, parent_header: {}, metadata: {}, buffers: [] };
  kernel.sendShellMessage({ ...message, content: { comm_id, data: { method: "custom", content } } });
}

const OPENED = Symbol.for("mixroute-magic: notebooks that were opened on this page");

// When this page began to show a notebook, or could have: in milliseconds, as performance.now() counts.
function openedAt(path) {
  const opened = (globalThis[OPENED] ??= new Set());
  const again = opened.has(path);
  opened.add(path);
  return again ? performance.now() : 0;
}

const isLiveView = (data) => WIDGET in data && `${data["text/plain"]}`.startsWith("Waiting for ");

// Only what was going on then: all else was shown, and whoever cleared it meant it.
function putBack(cells, since, { cell: id, turn, began, seconds, data, metadata }) {
  const cell = Array.from(cells).find((one) => one.id === id);
  const then = (performance.now() - since) / 1000;
  if (!cell || turns(cell).includes(turn) || then < seconds || then > began) return;
  const { outputs } = cell;
  const output = { output_type: "display_data", data, metadata };
  const places = Array.from({ length: outputs.length }, (_, place) => place);
  const orphan = places.find((place) => isLiveView(outputs.get(place).data));
  if (orphan === undefined) outputs.add(output);
  else outputs.set(orphan, output); // saved while it streamed
}

function initialize({ model }) {
  const manager = model.widget_manager;
  const context = manager?.context ?? manager?._context;
  const cells = context?.model?.cells;
  if (!cells?.changed) return;

  let waiting = false;
  const tell = () => {
    waiting = false;
    try {
      send(model, context.sessionContext.session.kernel, {
        path: context.localPath,
        cells: Array.from(cells).filter(isCode).map((cell) => [cell.id, ...turns(cell)]),
        others: others(context.sessionContext),
      });
    } catch {
      // the page is being closed, or is not what it was: the kernel reads the saved file
    }
  };
  const change = () => {
    if (!waiting) queueMicrotask(tell);
    waiting = true;
  };
  const since = openedAt(context.localPath);
  model.on("msg:custom", ({ client, missed }) => {
    if (client !== context.sessionContext.session?.kernel?.clientId) return;
    for (const output of missed) putBack(cells, since, output);
  });
  change();
  const signals = [cells.changed, context.pathChanged, context.sessionContext?.sessionManager?.runningChanged];
  for (const signal of signals) signal?.connect(change);
  return () => {
    for (const signal of signals) signal?.disconnect(change);
  };
}

export default { initialize };
