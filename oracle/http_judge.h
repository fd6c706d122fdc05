// A reward server that speaks as OpenRLHF's: POST of
//
//   {"query": [prompt and response, ...], "prompts": [prompt, ...], "labels": [answer, ...]}
//
// with one entry per response ("labels" are the dataset's answers, "" without one), answered with
// {"rewards": [number, ...]}; servers that answer {"scores": [...]} alone are understood too. Where
// the prompt is a chat, "messages" adds the list of its messages, the response as the last one.
#ifndef ATTUNE_ORACLE_HTTP_JUDGE_H_
#define ATTUNE_ORACLE_HTTP_JUDGE_H_

#include <memory>

#include "attune/v1/oracle_spec.pb.h"
#include "oracle/judge_endpoint.h"
#include "rpc/http_client.h"
#include "oracle/judge.h"

namespace attune {

// Its digest is that of the address: what is behind it is not known. An answer with the wrong
// number of rewards, or with one that is no finite number, is a judgement that failed. `spec` is of
// kind http with defaults filled in; the other two must outlive the judge.
std::shared_ptr<const Judge> MakeHttpJudge(const v1::OracleSpec& spec, Endpoints& endpoints,
                                           HttpClient& http);

}  // namespace attune

#endif  // ATTUNE_ORACLE_HTTP_JUDGE_H_
