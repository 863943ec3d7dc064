"""Work on a Ray cluster: chunks of batches and texts of a corpus. The store stays here, the cluster's actors compute.

    server or command ─▶ driver (a process beside it) ─▶ actors (on the nodes, each with the model)

`executor` is a server's side, `embedder` a command's; both give work to a `cluster`, which has the driver. That is a
process of its own, because Ray ends a process that has lost its cluster: it gives pieces to `pool`, and reads the lines
and writes the part files of chunks. `actor` is sent to the nodes whole, so that it can say what is wrong with a
node before anything of gemvec is loaded there; `node` computes. Ray remembers nothing: what is lost with an actor or a
node is given to another one.
"""
