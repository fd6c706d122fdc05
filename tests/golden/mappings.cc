#include "tests/golden/mappings.h"

#include "tests/golden/list_cases.h"
#include "tests/golden/logits_cases.h"
#include "tests/golden/multi_term_cases.h"
#include "tests/golden/other_cases.h"
#include "tests/golden/pair_building_cases.h"
#include "tests/golden/pair_cases.h"
#include "tests/golden/token_cases.h"

namespace attune {
namespace {

struct NamedMapping {
  const char* method;
  Mapping mapping;
};

constexpr NamedMapping kMappings[] = {
    // Pairs of summed log-probabilities.
    {"dno_soft_regression", DnoSoftRegression},
    {"dpo_eric_mitchell", DpoEricMitchell},
    {"dpop_rdpo_sampo", DpopRDpoSampo},
    {"f_dpo_official", FDpo},
    {"simpo_official", Simpo},
    {"spin_official", Spin},
    {"sppo_official", Sppo},
    {"trl_cpo_simpo_alphapo", TrlCpo},
    {"trl_orpo", TrlOrpo},
    {"trl_v0_24_dpo_loss", TrlV024Dpo},
    // More than one pair, no pairs, reward models.
    {"ddo", Ddo},
    {"diffusion_dpo_official", DiffusionDpo},
    {"mcm_dpo_official", McmDpo},
    {"modpo_official", Modpo},
    {"ofs_dpo_thirdparty_port", OfsDpo},
    {"openrlhf_losses", OpenRlhf},
    {"rdpo_realign_official", Realign},
    {"trl_bco", TrlBco},
    {"trl_reward_model", TrlRewardModel},
    // From logits.
    {"exo_official", Exo},
    {"get_batch_logps_eric_mitchell", BatchLogps},
    {"ld_dpo_llamafactory", LdDpo},
    {"tdpo_official", Tdpo},
    {"trl_entropy_from_logits", TrlEntropy},
    {"trl_head_dpo_compute_loss", TrlHeadDpo},
    {"trl_kto", TrlKto},
    // From token log-probabilities.
    {"halos", Halos},
    {"trl_nash_md", TrlNashMd},
    {"trl_online_dpo_training_step", TrlOnlineDpo},
    {"trl_xpo", TrlXpo},
    // Groups and lists.
    {"adpo_author_trl", AdpoTrl},
    {"adpo_plackett_luce_author_verl", AdpoPlackettLuce},
    {"irpo_official", Irpo},
    {"nca_official", Nca},
    // No losses.
    {"ches_official", Ches},
    {"dro_r3_core", DroReasoningReflection},
    {"pama_sstar", PamaMinNorm},
    {"trl_tr_dpo_sync", TrDpoSync},
    // Pairs from scores.
    {"ches_quantile_slice", ChesQuantileSlice},
    {"dno_prct_pairs", DnoPairs},
    {"pairs_openrlhf_iterative_dpo", PairsOpenRlhf},
    {"pairs_rlhflow", PairsRlhflow},
};

}  // namespace

Mapping FindMapping(const std::string& method) {
  for (const NamedMapping& named : kMappings) {
    if (method == named.method) return named.mapping;
  }
  return nullptr;
}

}  // namespace attune
