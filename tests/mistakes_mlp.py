"""What people get wrong in the exercises of labs/2_mlp, by exercise; for tests/test_labs.py."""

MISTAKES = {
    1: [
        "my_shapes = [(8, 4, 5), (32, 5), (32, 50), (32, len(itos))]",
        "my_shapes = [(8, 4, 5), (8, 20), (8, 50)]",
    ],
    2: [
        "my_probabilities = lambda h, W2, b2: F.softmax(h @ W2 + b2, dim=0)",
        "my_probabilities = lambda h, W2, b2: F.softmax(h @ W2, dim=1)  # no bias",
        "my_probabilities = lambda h, W2, b2: F.softmax(h @ W2 + b2, dim=1).mean(dim=0)",
    ],
    3: [
        "my_step = step_without_zeroing",
        "my_step = lambda parameters, x, y, lr: step(parameters, x, y, -lr)",
        "my_step = lambda parameters, x, y, lr: F.cross_entropy(forward(parameters, x), y)",
    ],
    4: [
        "my_lowest_loss = lambda X, Y: 0.0",
        # first letters alone, as in section 6
        "my_lowest_loss = lambda X, Y: 5 * torch.log(torch.tensor(5.0)).item() / 32",
    ],
    5: ["my_count = sum(map(len, names))  # no ends", "my_count = 3 * len(Y)"],
    6: [
        "my_valley = lambda e, losses: 10 ** e[torch.tensor(losses).argmin()].item()",
        "solved = my_valley\nmy_valley = lambda e, losses: torch.tensor(solved(e, losses)).log10()",
    ],
    7: [
        """
order = torch.randperm(len(X), generator=torch.Generator().manual_seed(1))
cuts = int(0.8 * len(X)), int(0.9 * len(X))
my_parts = [(X[rows], Y[rows]) for rows in order.tensor_split(cuts)]
""",
        "my_parts = [build(names[:4]), (X[:0], Y[:0]), build(names[4:])]  # not shuffled",
        "my_parts = [build(names[:4]), build(names[4:])]",
        "my_parts = [build(names[1:]), (X[:0], Y[:0]), build(names[1:2])]  # one twice, one lost",
        "my_parts = [build(names[3:]), build(names[:1]), build(names[1:3])]  # not 80 %",
    ],
    8: ['my_diagnosis = ["over", "over", "over", "over"]', 'my_diagnosis = ["over", "under"]'],
    9: [
        "my_noise = (noise(128), noise(32))",
        "my_noise = [noise(32)]",
        "my_noise = (noise(32), noise(32) / 4)  # not the square root",
    ],
    10: [
        "my_neighbour = lambda C, number: (C - C[number]).norm(dim=1).argmin().item()  # itself",
        "my_neighbour = lambda C, number: (C @ C[number]).argmax().item()",
    ],
    11: [
        "my_size = lambda block, emb, hidden: 27 * emb + 6 * hidden + hidden + hidden * 27 + 27",
        "solved_size = my_size\nmy_size = lambda b, e, h: solved_size(b, e, h) - h - len(itos)",
    ],
    12: [
        "my_logits = lambda contexts: torch.zeros(len(contexts), len(itos))  # uniform",
        "my_logits = lambda contexts: forward(new_parameters(2, 100), contexts[:, :3])",
        "my_logits = lambda contexts: forward(best, contexts[:, -3:]).argmax(dim=1)",
    ],
    13: [
        "my_start = new_parameters(embedding=10, hidden=200)",
        "my_start = [torch.zeros_like(tensor) for tensor in new_parameters(10, 200)]",
        "my_start = new_parameters(10, 200)[:4]",
        # the hidden units equal
        "my_start = [t * 0 + 0.001 for t in new_parameters(10, 200)]\nmy_start[0] = C",
    ],
    14: [
        "my_direct = lambda C, W1, b1, W2, b2, D, x: forward((C, W1, b1, W2, b2), x)",
        """
my_direct = lambda C, W1, b1, W2, b2, D, x: (
    forward((C, W1, b1, W2, b2), x) + torch.tanh(C[x].flatten(start_dim=1) @ D)
)
""",
        "my_direct = lambda C, W1, b1, W2, b2, D, x: torch.tanh(C[x].flatten(1) @ W1 + b1) @ D[:4]",
    ],
}
