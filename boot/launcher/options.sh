# shellcheck shell=bash
# The command line of a verb. A verb declares its options, then calls parse_options "$@":
#
#   option --cpus value 2      takes a value; options[--cpus] is 2 unless it is given
#   option --nvme list         takes a value and may be repeated; list_of --nvme VARIABLE fetches them
#   option --demo flag         options[--demo] is 1 if it is given, else empty

declare -A options=() option_kind=() option_list=()

option() {
    option_kind[$1]=$2
    options[$1]=${3:-}
}

refuse_option() {
    local verb=$1 given=$2
    refuse "$verb has no option '$given'; did you mean '$(nearest "$given" "${!option_kind[@]}" --help)'? See ./undercroft $verb --help"
}

# parse_options VERB ARGS...: fills `options`; --help calls help_VERB.
parse_options() {
    local verb=$1 name value
    shift
    while (($# > 0)); do
        name=$1
        shift
        if [[ $name == --help || $name == -h ]]; then
            "help_$verb"
            exit 0
        fi
        value=
        if [[ $name == --*=* ]]; then
            value=${name#*=}
            name=${name%%=*}
            set -- "$value" "$@"
        fi
        case ${option_kind[$name]:-unknown} in
        flag)
            [[ -n $value ]] && refuse "$name takes no value"
            options[$name]=1
            ;;
        value | list)
            (($# > 0)) || refuse "$name needs a value; see ./undercroft $verb --help"
            if [[ ${option_kind[$name]} == value ]]; then
                options[$name]=$1
            else
                option_list[$name]+=$(printf '%q ' "$1")
            fi
            shift
            ;;
        *) refuse_option "$verb" "$name" ;;
        esac
    done
}

# list_of OPTION VARIABLE: the values that were given, as an array.
list_of() {
    eval "$2=(${option_list[$1]:-})"
}

# require_number OPTION MINIMUM MAXIMUM
require_number() {
    local value=${options[$1]}
    if ! [[ $value =~ ^[0-9]{1,9}$ ]] || ((10#$value < $2 || 10#$value > $3)); then
        refuse "$1 is '$value'; it has to be a number from $2 to $3"
    fi
}

# require_file OPTION FILE
require_file() {
    [[ -f $2 && -r $2 ]] || refuse "$1: there is no readable file '$2'"
}
