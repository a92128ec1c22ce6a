"""One rank of training runs, with DeepSpeed's overlap_comm on and off: writes this rank's loss of every step, in
hexadecimal and so exactly, to OUTPUT/losses.on.RANK and OUTPUT/losses.off.RANK. Run under lina-launch."""
import job

parser = job.options(__doc__)
parser.add_argument("output")
arguments = parser.parse_args()
job.begin(arguments)
for arguments.overlap_comm, word in (1, "on"), (0, "off"):
    engine = job.engine(arguments)
    batches = job.Batches(arguments)
    with open(f"{arguments.output}/losses.{word}.{job.rank}", "w") as file:
        for _ in range(arguments.steps):
            print(job.step(engine, batches.next()).hex(), file=file)
job.end(arguments)
