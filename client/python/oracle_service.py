#!/usr/bin/env python3
"""An oracle in Python: prefers the response that says a word most often. Copy it, and put what you
prefer into `score`. README.md says how to make the stubs that it imports, and how a job asks it.

    oracle_service.py [--listen HOST:PORT] [--word WORD]
"""

import argparse
import hashlib
import math
import re
from concurrent import futures

import grpc
from attune.v1 import oracle_pb2, oracle_pb2_grpc

THREADS = 16  # as many calls as one oracle process has in flight: calls.max_concurrency


class WordOracle(oracle_pb2_grpc.OracleServiceServicer):
    def __init__(self, word):
        self.word = word.lower()
        # Of all that decides: while it stays the same, known verdicts are not asked for again.
        self.digest = hashlib.sha256(f"word/1 {self.word}".encode()).hexdigest()

    def score(self, item, response):
        """Higher is better. Raise when there is no score: one that is made up would be trained on.
        item.prompt, item.gold and item.messages are there too."""
        return float(re.findall(r"\w+", response.lower()).count(self.word))

    def Describe(self, request, context):
        return oracle_pb2.DescribeResponse(oracle="word/1", oracle_digest=self.digest)

    def Judge(self, request, context):
        answer = oracle_pb2.JudgeResponse()
        for item in request.items:
            judgment = answer.judgments.add(prompt_index=item.prompt_index, oracle="word/1",
                                            oracle_digest=self.digest)
            try:
                scores = [self.score(item, response) for response in item.responses]
                if not all(map(math.isfinite, scores)):
                    raise ValueError(f"a score is not finite: {scores}")
                judgment.scores.extend(scores)
            except Exception as error:  # of one item: the others are judged all the same
                judgment.failure = f"{type(error).__name__}: {error}"
        return answer


def main():
    parser = argparse.ArgumentParser(description="An oracle that counts a word.")
    parser.add_argument("--listen", default="127.0.0.1:50051")
    parser.add_argument("--word", default="happy")
    flags = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(THREADS))
    oracle_pb2_grpc.add_OracleServiceServicer_to_server(WordOracle(flags.word), server)
    port = server.add_insecure_port(flags.listen)
    server.start()
    print(f"listening {flags.listen.rsplit(':', 1)[0]}:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
