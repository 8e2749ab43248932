# bash completion for mstore: source <(mstore completion bash)
_mstore() {
	local line=${COMP_LINE:0:COMP_POINT} words=() cur IFS=$' \t\n'
	# The line is split at blanks: bash would split names and digests at their colons too.
	read -ra words <<<"$line"
	[[ $line == *[[:blank:]] ]] && words+=("")
	cur=${words[${#words[@]} - 1]}
	local IFS=$'\n'
	COMPREPLY=($(mstore __complete -- "${words[@]:1}" 2>/dev/null))
	# What is only the beginning of a reference has no blank behind it.
	[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/:] ]] && compopt -o nospace 2>/dev/null
	# bash replaces only what follows the last of its own word breaks.
	if [[ $cur == *[:=]* ]]; then
		local done=${cur%"${cur##*[:=]}"} i
		for i in "${!COMPREPLY[@]}"; do
			COMPREPLY[i]=${COMPREPLY[i]#"$done"}
		done
	fi
}
complete -o default -F _mstore mstore
