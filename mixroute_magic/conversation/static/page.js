// Tells the kernel the notebook as it is on this page, now and after every change of its cells or of a path:
//
// {path, cells: [[id, turn, …], …], others: {client: path, …}}
//
// All code cells in order, each with the ids of the turns that its outputs show; and the notebooks that share the kernel in
// this window, by the client id of their connection. What is read here is JupyterLab's own and no public interface:
// where any of it is missing, nothing is told.

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

function initialize({ model }) {
  const manager = model.widget_manager;
  const context = manager?.context ?? manager?._context;
  const cells = context?.model?.cells;
  if (!cells?.changed) return;

  let waiting = false;
  const tell = () => {
    waiting = false;
    try {
      model.send({
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
  change();
  const signals = [cells.changed, context.pathChanged, context.sessionContext?.sessionManager?.runningChanged];
  for (const signal of signals) signal?.connect(change);
  return () => {
    for (const signal of signals) signal?.disconnect(change);
  };
}

export default { initialize };
